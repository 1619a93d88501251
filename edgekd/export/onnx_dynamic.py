"""Integer products whose activations are quantized at run time, one scale per token, in plain ONNX operators.

    r = max_k |x_k|     q_x = round(127 x / r) + 128     y = r s_w / 127 MatMulInteger(q_x, q_w, 128) + b

for every row x of K values. The scale of `DynamicQuantizeLinear`, which ONNX Runtime fuses with the product, is that of
the whole tensor: padding and the other texts of a batch changed 1.5 and 1.3 % of a MiniLM's answers to Banking77, as
many as INT8 itself. Here they change none, INT8 changes half as many, and the file takes 1.25 times as long with 16 to
64 tokens, 1.35 times with 128. ONNX Runtime's other kernel with scales of its own for each row, `MatMulNBits` of 8
bits, takes 3 times as long on x86.

A row of zeros is 0 / 0; whatever integers that gives, r = 0 times them is 0.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np

from edgekd.errors import ExportError
from edgekd.export.onnx_constants import GraphWriter, shrink_tables
from edgekd.export.onnx_file import onnx_module
from edgekd.export.onnx_graph import BoundGraph
from edgekd.export.placed import Placed
from edgekd.export.tensorrt_qdq import channel_axis

LAYERS = {"Gemm", "MatMul"}
# Steps on either side of zero. UINT8 around 128, not INT8: ONNX Runtime's x86 kernels take no signed activations.
STEPS, ZERO = 127, 128


def place_dynamic(graph: BoundGraph, weight_bits: Literal[7, 8]) -> Placed:
    """Every product with a constant weight that the description makes an integer one.

    Args:
        graph: the float model bound to the description; it is changed.
        weight_bits: 7 leaves the top weight bit unused, as in static quantization.

    Raises:
        ExportError: nothing is left to quantize, or a weight is computed.
    """
    nodes = {node.name: node for node in graph.model.graph.node}
    left = {
        graph.layers.get(name, name): f"the runtimes have no {nodes[name].op_type} with such activations"
        for name in graph.integer
        if nodes[name].op_type not in LAYERS
    }
    chosen = [nodes[name] for name in graph.integer if nodes[name].op_type in LAYERS]
    if not chosen:
        raise ExportError("the quantization description leaves no operator to quantize", received=left or None)
    shrink_tables(graph.model, graph.tables)
    writer = GraphWriter(graph.model)
    for node in chosen:
        _product(writer, node, graph.per_channel, weight_bits)
    writer.finish()
    return Placed(model=graph.model, counts=dict(Counter("MatMul" for _ in chosen)), left=left)


def _product(writer: GraphWriter, node: Any, per_channel: bool, bits: Literal[7, 8]) -> None:
    weight, output = node.input[1], node.output[0]
    axis = channel_axis(node)
    integers, scale = writer.integers(weight, axis if per_channel else None, bits, transposed=axis == 0)
    step = writer.constant(f"{weight}_step", writer.values(scale) / np.float32(STEPS))
    rows, largest, zero = _quantized(writer, node.input[0])
    total = writer.node("MatMulInteger", [rows, integers, zero], [f"{output}_int32"])
    wide = writer.node("Cast", [total], [f"{output}_wide"], to=onnx_module().TensorProto.FLOAT)
    unit = writer.node("Mul", [wide, step], [f"{output}_unit"])
    bias = node.input[2] if len(node.input) > 2 else None
    writer.model.graph.node.remove(node)
    writer.node("Mul", [unit, largest], [output if bias is None else f"{output}_product"])
    if bias is not None:
        writer.node("Add", [f"{output}_product", bias], [output])


def _quantized(writer: GraphWriter, source: str) -> tuple[str, str, str]:
    """Names of a tensor's integers, of its rows' largest magnitudes `(..., 1)`, and of the integers' zero point."""
    last = writer.constant("last_axis", np.array([-1], np.int64))
    step = writer.constant("row_step", np.array(1 / STEPS, np.float32))
    zero = writer.constant("row_zero_point", np.array(ZERO, np.uint8))
    magnitudes = writer.node("Abs", [source], [f"{source}_magnitudes"])
    largest = writer.node("ReduceMax", [magnitudes, last], [f"{source}_largest"], keepdims=1)
    shares = writer.node("Div", [source, largest], [f"{source}_shares"])
    return writer.node("QuantizeLinear", [shares, step, zero], [f"{source}_uint8"]), largest, zero
