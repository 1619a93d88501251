"""Places the description's quantizers in an ONNX graph as ONNX Runtime's CPU kernels fuse them.

ONNX Runtime turns `DequantizeLinear -> Conv -> QuantizeLinear` into one `QLinearConv` (and Gemm, Add, MatMul, pooling
alike) when activations are asymmetric UINT8, weights are INT8 initializers behind a DequantizeLinear, biases are INT32
at scale `input scale x weight scale`, and no ReLU stands between the operator and its quantizer: a UINT8 quantizer
with zero point 0 cuts off negatives itself. Its own QDQ writer knows all that; the ranges it is handed are ours.
OpenVINO fuses the same form.

The scale and zero point that the writer derives from a range [low, high] are the standard ones:
`scale = (high - low) / 255`, `zero point = round(-low / scale)`; weights per channel c: `scale_c = max|w_c| / 127`, or
`/ 64` with 7 bits.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgekd.backends import need
from edgekd.compress.description import TensorRange
from edgekd.errors import ExportError
from edgekd.export.kernels import HEAVY
from edgekd.export.onnx_constants import shrink_tables
from edgekd.export.onnx_file import drop_unused, onnx_module, sort_nodes
from edgekd.export.onnx_graph import CLIPS, PASSES, BoundGraph
from edgekd.export.placed import Placed

# Operators that ONNX Runtime's CPU provider and OpenVINO's CPU plugin both compute in integers.
INTEGER_OPERATORS = {"Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat", "Sigmoid"}


def place(graph: BoundGraph, weight_bits: int) -> Placed:
    """Quantizers where ONNX Runtime fuses them.

    Args:
        graph: the float model bound to the description; it is changed.
        weight_bits: 7 leaves the top weight bit unused, so that x86's 16-bit sums of two U8 x S8 products, at most
            2 x 255 x 64, do not saturate.

    Raises:
        ExportError: nothing is left to quantize.
    """
    nodes = {node.name: node for node in graph.model.graph.node}
    left = {
        name: f"the runtimes have no integer {nodes[name].op_type}"
        for name in graph.integer
        if nodes[name].op_type not in INTEGER_OPERATORS
    }
    chosen = [name for name in graph.integer if name not in left]
    if not chosen:
        raise ExportError("the quantization description leaves no operator to quantize", received=dict(left) or None)
    counts = Counter(str(nodes[name].op_type) for name in chosen)
    shrink_tables(graph.model, graph.tables)
    names = [*chosen, *_followers(graph, chosen)]
    model = _write(graph, names, weight_bits)
    free_floats(model, set(names))
    hold_float(model, set(graph.kept) | set(left))
    free_outputs(model)
    named = {graph.layers.get(name, name): reason for name, reason in left.items()}
    return Placed(model=model, counts=dict(sorted(counts.items())), left=named)


def _followers(graph: BoundGraph, chosen: list[str]) -> list[str]:
    """Names of the value-passing and clipping nodes between quantized operators: they work on 8 bits too."""
    nodes = list(graph.model.graph.node)
    after = {tensor for node in nodes if node.name in chosen for tensor in node.output}
    before = {tensor for node in nodes if node.name in chosen for tensor in node.input}
    for node in nodes:
        if node.op_type in PASSES | CLIPS and node.input[0] in after:
            after.update(node.output)
    for node in reversed(nodes):
        if node.op_type in PASSES and before.intersection(node.output):
            before.add(node.input[0])
    return [
        node.name
        for node in nodes
        if node.name not in graph.kept
        and (
            (node.op_type in PASSES and node.input[0] in after and before.intersection(node.output))
            or (node.op_type in CLIPS and node.input[0] in after)
        )
    ]


def _write(graph: BoundGraph, names: list[str], weight_bits: int) -> Any:
    quantization: Any = need("onnxruntime.quantization", extra="onnx")
    calibrate: Any = need("onnxruntime.quantization.calibrate", extra="onnx")
    writer: Any = need("onnxruntime.quantization.qdq_quantizer", extra="onnx")
    model = _inferred(graph.model)

    def data(item: TensorRange) -> Any:
        return calibrate.TensorData(lowest=np.float32(item.low), highest=np.float32(item.high))

    ranges = {name: data(item) for name, item in graph.binding.ranges.items()}
    with _quiet():
        quantizer = writer.QDQQuantizer(
            model,
            graph.per_channel,
            weight_bits == 7,
            quantization.QuantType.QInt8,
            quantization.QuantType.QUInt8,
            ranges,
            names,
            [],
            sorted({node.op_type for node in model.graph.node}),
            # A MatMul's bias is added after it, in float, by the same kernel.
            {"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
        quantized = quantizer.quantize_model()
    sort_nodes(quantized)
    return quantized


def _inferred(model: Any) -> Any:
    """A copy marked as shape-inferred, which saves the writer a round trip through a temporary file."""
    onnx = onnx_module()
    utilities: Any = need("onnxruntime.quantization.quant_utils", extra="onnx")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    utilities.add_infer_metadata(inferred)
    return inferred


def hold_float(model: Any, names: set[str]) -> None:
    """Keeps ONNX Runtime from quantizing the named Conv and Gemm nodes on its own.

    Its `WeightBiasQuantization` gives a float Conv or Gemm between a DequantizeLinear and a QuantizeLinear INT8 weights
    of one scale, looking through Relu and Clip. A LeakyRelu in that path stops it, and is fused into the float kernel:
    slope 0 is Relu, slope 1 changes nothing.
    """
    helper = onnx_module().helper
    makers = {tensor: node.op_type for node in model.graph.node for tensor in node.output}
    for node in [item for item in model.graph.node if item.name in names and item.op_type in HEAVY]:
        output = node.output[0]
        readers = [item for item in model.graph.node if output in item.input]
        if makers.get(node.input[0]) != "DequantizeLinear" or len(readers) != 1:
            continue
        reader = readers[0]
        if reader.op_type == "Relu":
            reader.op_type = "LeakyRelu"
            reader.attribute.append(helper.make_attribute("alpha", 0.0))
        elif reader.op_type in {"Clip", "QuantizeLinear"}:
            node.output[0] = f"{output}_float"
            held = helper.make_node("LeakyRelu", [node.output[0]], [output], name=f"{node.name}_float", alpha=1.0)
            model.graph.node.append(held)
    sort_nodes(model)


def free_floats(model: Any, quantized: set[str]) -> None:
    """Lets float operators read what float operators make, such as a residual sum what a layer normalisation does.

    Args:
        model: with quantizers; it is changed.
        quantized: names of the nodes that work on eight bits. What they make stays quantized for all: their kernels
            need it.
    """
    makers = {tensor: node for node in model.graph.node for tensor in node.output}
    for node in model.graph.node:
        if node.name in quantized or node.op_type == "QuantizeLinear":
            continue
        for index, name in enumerate(node.input):
            restore = makers.get(name)
            quantize = makers.get(restore.input[0]) if restore and restore.op_type == "DequantizeLinear" else None
            source = makers.get(quantize.input[0]) if quantize else None
            if quantize and source and source.name not in quantized:
                node.input[index] = quantize.input[0]


def free_outputs(model: Any) -> None:
    """Removes the quantizer between a last Gemm or MatMul and the output: the integer kernel writes float as well.

    Eight bits would only round the logits.
    """
    graph = model.graph
    makers = {tensor: node for node in graph.node for tensor in node.output}
    for output in graph.output:
        chain: list[Any] = []
        for kinds in ({"DequantizeLinear"}, {"QuantizeLinear"}, {"Gemm", "MatMul"}):
            node = makers.get(chain[-1].input[0] if chain else output.name)
            if node is None or node.op_type not in kinds:
                break
            chain.append(node)
        if len(chain) < 3:
            continue
        restore, quantize, source = chain
        inner = {source.output[0], quantize.output[0]}
        if any(inner.intersection(node.input) for node in graph.node if node.name not in (quantize.name, restore.name)):
            continue
        source.output[0] = output.name
        graph.node.remove(quantize)
        graph.node.remove(restore)
    drop_unused(model)


@contextmanager
def _quiet() -> Generator[None]:
    """The writer logs to the root logger; its remarks (no override given, ...) are not the user's."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
