"""An ONNX model's tensors by value, and which of its operators the quantization description makes integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekd.backends import need
from edgekd.compress.moments import Fingerprint, Moments
from edgekd.compress.operators import WEIGHTED
from edgekd.compress.tensors import as_numpy
from edgekd.errors import ExportError
from edgekd.export.bind import Binding, Step, bind
from edgekd.export.onnx_file import onnx_module
from edgekd.export.onnx_float import float_onnx

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program

# Operators whose output holds only values of their input (Pad adds zeros): 8-bit tensors pass through as they are.
PASSES = {
    "Flatten",
    "Identity",
    "MaxPool",
    "Pad",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}

# Clipping activations: an asymmetric 8-bit quantizer that ends where they clip does their work.
CLIPS = {"Clip", "Relu"}


@dataclass(frozen=True)
class BoundGraph:
    """The float model with the description bound to it.

    Attributes:
        model: float `ModelProto`, the caller's own.
        binding: range and described names of its tensors.
        integer: names of the nodes that the description makes integers.
        kept: node name to the description's reason why it stays in float.
        per_channel: weights have one scale per output channel.
        layers: readable layer name of every node that is an operator of the network, by node name.
        tables: names of the nodes that look up rows of a table to be stored in INT8.
    """

    model: Any
    binding: Binding
    integer: list[str]
    kept: dict[str, str]
    per_channel: bool
    layers: dict[str, str]
    tables: list[str] = field(default_factory=lambda: [])


def bound_onnx(program: Program, description: Description) -> BoundGraph:
    """The float ONNX model of a program with its quantization description bound by value.

    Raises:
        ExportError: a quantized operator's tensor cannot be found in the description, or only ambiguously.
    """
    model = float_onnx(program)
    seen = program.once("onnx_fingerprints", lambda: fingerprints(model, program))
    binding = bind(seen, steps(model, set(seen)), description)
    integer, kept = _divide(model, binding, program, description)
    by_name = {node.name: node for node in model.graph.node}
    for name in integer:
        node = by_name[name]
        # A MatMul's bias is an addition of its own: only the sum is a tensor of the network.
        touched = node.input if node.op_type == "MatMul" or description.dynamic else (*node.input, *node.output)
        binding.require([t for t in touched if t in seen], where=f"{node.op_type} {name}")
    return BoundGraph(
        model=model,
        binding=binding,
        integer=integer,
        kept=kept,
        per_channel=description.per_channel,
        layers=_layers(model, binding, program),
        tables=_tables(model, binding, program, description),
    )


def fingerprints(model: Any, program: Program) -> dict[str, Fingerprint]:
    """Fingerprint of every float tensor that depends on an input, over the probe batch, one sample at a time."""
    onnx = onnx_module()
    ort: Any = need("onnxruntime", extra="onnx")
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    live = _depends_on_input(wide)
    known = {item.name for item in wide.graph.output}
    for name in live:
        if name not in known:
            wide.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(wide.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs() if item.type == "tensor(float)"]
    inputs = [item.name for item in session.get_inputs()]
    moments = {name: Moments() for name in (*_float_inputs(program), *names)}
    for index in range(len(program.example[0])):
        given = {
            name: np.ascontiguousarray(as_numpy(value))
            for name, value in zip(program.names, program.sample(index), strict=True)
        }
        for name in _float_inputs(program):
            moments[name].add(given[name])
        # An input that only lends its shape may have been optimized away.
        fed = {name: given[name] for name in inputs}
        for name, value in zip(names, session.run(names, fed), strict=True):
            moments[name].add(value)
    return {name: item.fingerprint() for name, item in moments.items()}


def _float_inputs(program: Program) -> list[str]:
    return [name for name, value in zip(program.names, program.example, strict=True) if value.is_floating_point()]


def _depends_on_input(model: Any) -> list[str]:
    live = {item.name for item in model.graph.input}
    ordered: list[str] = []
    for node in model.graph.node:
        if live.intersection(node.input):
            live.update(node.output)
            ordered.extend(name for name in node.output if name)
    return ordered


def steps(model: Any, live: set[str]) -> list[Step]:
    """The model's operators as binding sees them."""
    return [
        Step(
            inputs=[name for name in node.input if name in live],
            outputs=[name for name in node.output if name],
            passes=node.op_type in PASSES,
        )
        for node in model.graph.node
    ]


def _layers(model: Any, binding: Binding, program: Program) -> dict[str, str]:
    readable = program.layers()
    found: dict[str, str] = {}
    for node in model.graph.node:
        names = [name for name in binding.names.get(node.output[0], []) if name in readable]
        if names:
            found[node.name] = readable[names[0]]
    return found


def _tables(model: Any, binding: Binding, program: Program, description: Description) -> list[str]:
    """Names of the Gather nodes that are the description's look-ups; all of them must be there."""
    wanted = set(description.embeddings)
    found = {
        name: node.name
        for node in model.graph.node
        if node.op_type == "Gather"
        for name in wanted.intersection(binding.names.get(node.output[0], []))
    }
    lost = [program.layers()[name] for name in description.embeddings if name not in found]
    if lost:
        raise ExportError("look-ups with an INT8 table are not in the exported graph", received=", ".join(lost[:8]))
    return list(dict.fromkeys(found.values()))


def _biased(node: Any, makers: dict[str, Any], constants: set[str]) -> str | None:
    """Name of the MatMul that this addition gives its bias: together they are one linear layer."""
    if node.op_type != "Add" or not constants.intersection(node.input):
        return None
    sources = [makers[name] for name in node.input if name in makers]
    return str(sources[0].name) if sources and sources[0].op_type == "MatMul" else None


def _divide(
    model: Any, binding: Binding, program: Program, description: Description
) -> tuple[list[str], dict[str, str]]:
    """Names of the nodes to quantize, and of those that stay in float with the description's reason."""
    quantized = set(description.quantized)
    layers, operators = program.layers(), program.operators()
    reasons = {item.layer: item.reason for item in description.kept_float}
    makers = {tensor: node for node in model.graph.node for tensor in node.output}
    constants = {item.name for item in model.graph.initializer}
    integer: list[str] = []
    kept: dict[str, str] = {}
    placed: set[str] = set()
    for node in model.graph.node:
        names = [name for name in binding.names.get(node.output[0], []) if name in operators]
        chosen = [name for name in names if name in quantized]
        if chosen and node.op_type not in PASSES | CLIPS:
            product = _biased(node, makers, constants) or str(node.name)
            if product not in integer:  # with a bias of zeros, the product alone was the layer already
                integer.append(product)
            placed.update(chosen)
        elif names and not chosen:
            kept[node.name] = reasons.get(layers[names[0]], "the quantization description keeps it in float")
    lost = [name for name in description.quantized if operators.get(name) in WEIGHTED and name not in placed]
    if lost:
        raise ExportError(
            "layers that the quantization description makes integers are not in the exported graph",
            received=", ".join(layers[name] for name in lost[:8]),
            hint="keep them in float: compress: {keep_float: [...]}",
        )
    return integer, kept
