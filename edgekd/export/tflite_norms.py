"""Undoes what the converter does to a linear layer that reads a layer normalisation.

With n the normalised value, the layer reads `y = gamma n + beta`. The converter folds the factors into its weights,

    W y + b = (W diag(gamma)) n + (b + W beta)

but n is no tensor of the network, so its range is not described, and `W diag(gamma)` has wider rows than W for INT8.
The layer is given y, W and b again: y is there where an addition around the layer reads it (BERT), and is computed
where nothing else does (vision transformers, which normalise first).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekd.compress.nodes import attribute, layer_arguments, operator_type
from edgekd.compress.operators import MOVING
from edgekd.compress.tensors import as_numpy
from edgekd.export.tflite_file import flatbuffer_tools, float_tflite, object_form

if TYPE_CHECKING:
    from torch import fx

    from edgekd.compress.fold import Program

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Linear:
    """Weight and bias (zeros for none) of a linear layer, and factors of the normalisation that it reads, or None."""

    weight: Floats
    bias: Floats
    gamma: Floats | None
    beta: Floats | None

    def is_scaled(self, gamma: Floats, seen: Floats) -> bool:
        """Whether `seen` is W diag(gamma)."""
        fits = self.weight.shape == seen.shape and self.weight.shape[1] == len(gamma)
        return fits and np.allclose(self.weight * gamma, seen, 1e-4, 1e-6)

    def is_folded(self, weight: Floats, bias: Floats) -> bool:
        """Whether these are W diag(gamma) and b + W beta, and not W and b."""
        if self.gamma is None or self.beta is None or not self.is_scaled(self.gamma, weight):
            return False
        changes = bool((self.gamma != 1).any() or (self.beta != 0).any())
        return changes and np.allclose(self.bias + self.weight @ self.beta, bias, 1e-4, 1e-5)


def unfolded_tflite(program: Program) -> bytes:
    """The float file of an image network, with its linear layers as the network has them."""

    def write() -> bytes:
        model = object_form(float_tflite(program))
        unfold_norms(model, program)
        return bytes(flatbuffer_tools().convert_object_to_bytearray(model))

    return program.once("unfolded_tflite", write)


def unfold_norms(model: Any, program: Program) -> None:
    """Changes a file's object form in place.

    Args:
        model: as `flatbuffer_utils` reads it.
        program: what it was converted from.
    """
    linears = list(_linears(program))
    restored: dict[int, _Linear] = {}
    for graph in model.subgraphs:
        shifted, made = _shifted(model, graph), dict[int, int]()
        for layer in [item for item in graph.operators if _kind(model, item) == "FULLY_CONNECTED"]:
            source, weight = int(layer.inputs[0]), graph.tensors[layer.inputs[1]]
            if weight.buffer not in restored:
                found = _folded(model, graph, layer, linears, shifted)
                if found is None:
                    continue
                for index, values in ((1, found.weight), (2, found.bias)):
                    buffer = model.buffers[graph.tensors[layer.inputs[index]].buffer]
                    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
                restored[weight.buffer] = found
            if source in shifted:
                layer.inputs[0] = shifted[source][0]
                continue
            if source not in made:
                made[source] = _shift(model, graph, layer, restored[weight.buffer])
            layer.inputs[0] = made[source]


def _folded(
    model: Any, graph: Any, layer: Any, linears: list[_Linear], shifted: dict[int, tuple[int, Floats]]
) -> _Linear | None:
    """The network's layer that one of the file holds with the factors of a normalisation in it."""
    source, weight, bias = (int(index) for index in (*layer.inputs, -1)[:3])
    if bias < 0:
        return None
    seen, added = _values(model, graph.tensors[weight]), _values(model, graph.tensors[bias])
    if source in shifted:
        return next((item for item in linears if item.is_scaled(shifted[source][1], seen)), None)
    return next((item for item in linears if item.is_folded(seen, added)), None)


def _linears(program: Program) -> Iterator[_Linear]:
    for node in program.module.graph.nodes:
        if node.op == "call_function" and operator_type(node) == "linear":
            weight, bias = (_stored(program, item) for item in layer_arguments(node))
            if weight is not None:
                bias = np.zeros(len(weight), np.float32) if bias is None else bias
                yield _Linear(np.ascontiguousarray(weight), bias, *_factors(program, node.all_input_nodes[0]))


def _factors(program: Program, norm: fx.Node) -> tuple[Floats | None, Floats | None]:
    """gamma and beta of a layer normalisation, whose result may be moved on the way."""
    while norm.op == "call_function" and operator_type(norm) in MOVING:
        norm = norm.all_input_nodes[0]
    if norm.op != "call_function" or operator_type(norm) != "layer_norm":
        return None, None
    given = [*norm.args[2:4], norm.kwargs.get("weight"), norm.kwargs.get("bias")]
    weight, bias = (_stored(program, item) for item in (given if len(norm.args) >= 4 else given[-2:])[:2])
    if weight is None or weight.ndim != 1:
        return None, None
    return weight, np.zeros(len(weight), np.float32) if bias is None else bias


def _stored(program: Program, item: Any) -> Floats | None:
    found = None if item is None else attribute(program.module, str(item.target))
    return None if found is None else as_numpy(found)


def _shifted(model: Any, graph: Any) -> dict[int, tuple[int, Floats]]:
    """Tensors that constants scale and then shift: to the result, and the factors."""
    scaled: dict[int, tuple[int, Floats]] = {}
    shifted: dict[int, tuple[int, Floats]] = {}
    for item in graph.operators:
        if (kind := _kind(model, item)) in {"MUL", "ADD"}:
            first, second = (int(index) for index in item.inputs)
            factors = _values(model, graph.tensors[second])
            if factors.ndim == 1 and kind == "MUL":
                scaled[int(item.outputs[0])] = first, factors
            elif factors.ndim == 1 and first in scaled:
                source, gamma = scaled[first]
                shifted[source] = int(item.outputs[0]), gamma
    return shifted


def _shift(model: Any, graph: Any, layer: Any, linear: _Linear) -> int:
    """Adds `gamma n + beta` before a layer that reads n; returns the tensor."""
    current = int(layer.inputs[0])
    place = next(index for index, item in enumerate(graph.operators) if item is layer)
    for kind, factors in (("MUL", linear.gamma), ("ADD", linear.beta)):
        # The normalisation before the layer is written in both: they are there to be copied.
        like = next(item for item in graph.operators if _kind(model, item) == kind and _is_plain(item))
        operator = copy.copy(like)
        operator.inputs = [current, _constant(model, graph, current, factors)]
        tensor = copy.copy(graph.tensors[current])
        tensor.name = tensor.name + b"/" + kind.lower().encode()
        graph.tensors.append(tensor)
        current = len(graph.tensors) - 1
        operator.outputs = [current]
        graph.operators.insert(place, operator)
        place += 1
    return current


def _constant(model: Any, graph: Any, like: int, values: Any) -> int:
    buffer, tensor = copy.copy(model.buffers[0]), copy.copy(graph.tensors[like])
    buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer, tensor.shape, tensor.shapeSignature = len(model.buffers) - 1, list(values.shape), None
    tensor.name = tensor.name + f"/{len(model.buffers)}".encode()
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _kind(model: Any, operator: Any) -> str:
    return str(flatbuffer_tools().opcode_to_name(model, operator.opcodeIndex))


def _is_plain(operator: Any) -> bool:
    return not getattr(operator.builtinOptions, "fusedActivationFunction", 0)


def _values(model: Any, tensor: Any) -> Floats:
    """A stored float tensor; one without axes where it is computed."""
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != 0:  # 0 is FLOAT32
        return np.zeros((), np.float32)
    return np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)
