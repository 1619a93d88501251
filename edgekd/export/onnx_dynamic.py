"""Integer products whose activations are quantized at run time, as ONNX Runtime fuses them.

    y = (s_x s_w) * MatMulInteger(q_x, q_w, z_x)        with  q_x, s_x, z_x = DynamicQuantizeLinear(x)

`DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul` by the product of both scales becomes one kernel,
`DynamicQuantizeMatMul`, or `MatMulIntegerToFloat` where several layers share the quantized activation. A scale is that
of the whole tensor, so an answer depends a little on what else is in the batch.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from edgekd.errors import ExportError
from edgekd.export.onnx_constants import GraphWriter, shrink_tables
from edgekd.export.onnx_file import onnx_module
from edgekd.export.onnx_graph import BoundGraph
from edgekd.export.placed import Placed
from edgekd.export.tensorrt_qdq import channel_axis

LAYERS = {"Gemm", "MatMul"}


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
    source, weight, output = node.input[0], node.input[1], node.output[0]
    axis = channel_axis(node)
    integers, scale = writer.integers(weight, axis if per_channel else None, bits, transposed=axis == 0)
    parts = [f"{source}_dynamic", f"{source}_dynamic_scale", f"{source}_dynamic_zero_point"]
    writer.node("DynamicQuantizeLinear", [source], parts)
    scales = writer.node("Mul", [parts[1], scale], [f"{output}_scales"])
    total = writer.node("MatMulInteger", [parts[0], integers, parts[2]], [f"{output}_int32"])
    wide = writer.node("Cast", [total], [f"{output}_wide"], to=onnx_module().TensorProto.FLOAT)
    bias = node.input[2] if len(node.input) > 2 else None
    writer.model.graph.node.remove(node)
    writer.node("Mul", [wide, scales], [output if bias is None else f"{output}_product"])
    if bias is not None:
        writer.node("Add", [f"{output}_product", bias], [output])
