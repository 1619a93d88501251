"""Undoes what the converter does to a linear layer that reads a layer normalisation.

With n the normalised value, the layer reads `y = gamma n + beta`. The converter folds the factors into its weights,

    W y + b = (W diag(gamma)) n + (b + W beta)

and keeps y for the addition around the layer, so nothing is saved; but n is no tensor of the network, so its range is
not described, and `W diag(gamma)` has wider rows than W for INT8. The layer is given y, W and b again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekd.compress.nodes import attribute, layer_arguments, operator_type
from edgekd.compress.tensors import as_numpy
from edgekd.export.tflite_file import flatbuffer_tools

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

Floats = NDArray[np.float32]


def unfold_norms(model: Any, program: Program) -> None:
    """Changes a file's object form in place.

    Args:
        model: as `flatbuffer_utils` reads it.
        program: what it was converted from.
    """
    linears = list(_linears(program))
    restored: set[int] = set()
    for graph in model.subgraphs:
        for layer, scaled, gamma in _folded(model, graph):
            weight, bias = graph.tensors[layer.inputs[1]], graph.tensors[layer.inputs[2]]
            if weight.buffer not in restored:
                seen = _values(model, weight)
                found = next((item for item in linears if _is_scaled(item[0], gamma, seen)), None)
                if found is None:
                    continue
                for tensor, values in ((weight, found[0]), (bias, found[1])):
                    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
                restored.add(weight.buffer)
            layer.inputs[0] = scaled


def _linears(program: Program) -> Iterator[tuple[Floats, Floats]]:
    """Weight and bias (zeros for none) of every linear layer."""
    for node in program.module.graph.nodes:
        if node.op == "call_function" and operator_type(node) == "linear":
            tensors = [
                None if item is None else attribute(program.module, str(item.target)) for item in layer_arguments(node)
            ]
            if tensors[0] is not None:
                weight = np.ascontiguousarray(as_numpy(tensors[0]))
                yield weight, np.zeros(len(weight), np.float32) if tensors[1] is None else as_numpy(tensors[1])


def _folded(model: Any, graph: Any) -> Iterator[tuple[Any, int, Floats]]:
    """Layers that read a value which constants scale and shift before them: layer, shifted tensor, factors."""
    tools = flatbuffer_tools()
    kinds = [tools.opcode_to_name(model, item.opcodeIndex) for item in graph.operators]
    scaled: dict[int, tuple[int, Floats]] = {}
    shifted: dict[int, tuple[int, Floats]] = {}
    for kind, item in zip(kinds, graph.operators, strict=True):
        if kind in {"MUL", "ADD"}:
            first, second = (int(index) for index in item.inputs)
            factors = _values(model, graph.tensors[second])
            if factors.ndim == 1 and kind == "MUL":
                scaled[int(item.outputs[0])] = first, factors
            elif factors.ndim == 1 and first in scaled:
                source, gamma = scaled[first]
                shifted[source] = int(item.outputs[0]), gamma
        elif kind == "FULLY_CONNECTED" and int(item.inputs[0]) in shifted and int(item.inputs[2]) >= 0:
            yield item, *shifted[int(item.inputs[0])]


def _values(model: Any, tensor: Any) -> Floats:
    """A stored float tensor; one without axes where it is computed."""
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != 0:  # 0 is FLOAT32
        return np.zeros((), np.float32)
    return np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)


def _is_scaled(weight: Floats, gamma: Floats, seen: Floats) -> bool:
    return (
        weight.shape == seen.shape and weight.shape[1] == len(gamma) and np.allclose(weight * gamma, seen, 1e-4, 1e-6)
    )
