"""Places the description's quantizers in an ONNX graph as TensorRT's explicit quantization fuses them.

TensorRT fuses a convolution or matrix product whose inputs both come from DequantizeLinear, together with the addition
and ReLU after it. So, following NVIDIA's placement advice (TensorRT documentation, "Explicit Quantization"; TensorFlow
quantization toolkit, "Add Custom QDQ Insertion Case"):

- a pair before every activation input of a quantized operator, shared by all its quantized readers;
- none after a convolution: its output stays in full precision inside the fused kernel;
- at a residual addition only the branch that is not computed right there gets a pair, so that convolution, addition
  and ReLU become one kernel;
- weights are INT8 initializers behind a DequantizeLinear (the documentation's "pre-quantized weights"), one scale per
  output channel; biases stay float32;
- all zero points are 0: `q = clip(round(x / s), -128, 127)` with `s = max(|low|, |high|) / 127`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekd.compress import affine
from edgekd.compress.description import TensorRange
from edgekd.errors import ExportError
from edgekd.export.onnx_constants import GraphWriter
from edgekd.export.onnx_file import onnx_module
from edgekd.export.onnx_graph import BoundGraph
from edgekd.export.placed import Placed

WEIGHTED = {"Conv", "Gemm", "MatMul"}
POOLS = {"AveragePool", "GlobalAveragePool"}


@dataclass
class _Writer(GraphWriter):
    """The graph being changed.

    Attributes:
        ranges: range of every bound tensor.
    """

    ranges: dict[str, TensorRange] = field(default_factory=lambda: {})

    def pair(self, tensor: str) -> str:
        """The tensor after its quantizer, one per tensor."""
        item = self.ranges[tensor]
        grid = affine.activation(item.low, item.high, symmetric=True)
        scale = self.constant(f"{tensor}_scale", np.asarray(grid.scale, np.float32).reshape(()))
        zero = self.constant(f"{tensor}_zero_point", np.zeros((), np.int8))
        quantized = self.node("QuantizeLinear", [tensor, scale, zero], [f"{tensor}_quantized"])
        return self.node("DequantizeLinear", [quantized, scale, zero], [f"{tensor}_dequantized"])

    def weight(self, name: str, axis: int, per_channel: bool) -> str:
        """The named weight as INT8 behind a DequantizeLinear, made once."""
        values = self.values(name).astype(np.float32)
        grid = affine.weight(values, axis=axis if per_channel else None)
        scale = self.constant(f"{name}_scale", np.asarray(grid.scale, np.float32))
        zero = self.constant(f"{name}_zero_point", np.zeros(grid.scale.shape, np.int8))
        integers = self.constant(f"{name}_quantized", affine.quantize(values, grid).astype(np.int8))
        attributes = {"axis": axis} if per_channel else {}
        return self.node("DequantizeLinear", [integers, scale, zero], [f"{name}_dequantized"], **attributes)


def channel_axis(node: Any) -> int:
    """Axis of the output channels in the weight of a Conv, Gemm or MatMul."""
    if node.op_type == "Conv":
        return 0
    transposed = any(item.name == "transB" and item.i for item in node.attribute)
    return 0 if transposed else 1


def place(graph: BoundGraph) -> Placed:
    """Explicit quantizers as TensorRT fuses them.

    Args:
        graph: the float model bound to the description; it is changed.

    Raises:
        ExportError: nothing is left to quantize, or a weight is not constant.
    """
    nodes = {node.name: node for node in graph.model.graph.node}
    makers = {tensor: node for node in nodes.values() for tensor in node.output}
    readers = Counter(tensor for node in nodes.values() for tensor in node.input)
    writer = _Writer(graph.model, ranges=graph.binding.ranges)
    counts: Counter[str] = Counter()
    left: dict[str, str] = {}
    for name in graph.integer:
        node = nodes[name]
        if node.op_type in WEIGHTED:
            weight = writer.weight(node.input[1], channel_axis(node), graph.per_channel)
            node.input[0] = writer.pair(node.input[0])
            node.input[1] = weight
        elif node.op_type == "Add" and all(tensor in writer.ranges for tensor in node.input):
            for position in _residual(node, makers, readers):
                node.input[position] = writer.pair(node.input[position])
        elif node.op_type in POOLS:
            node.input[0] = writer.pair(node.input[0])
        else:
            left[graph.layers.get(name, name)] = (
                f"TensorRT computes {node.op_type} in the precision of what is around it"
            )
            continue
        counts[node.op_type] += 1
    left |= {graph.layers.get(name, name): "TensorRT looks rows up in float tables" for name in graph.tables}
    if not counts:
        raise ExportError("the quantization description leaves no operator to quantize", received=dict(left) or None)
    writer.finish()
    inferred = onnx_module().shape_inference.infer_shapes(graph.model, data_prop=True)
    return Placed(model=inferred, counts=dict(sorted(counts.items())), left=left)


def _residual(node: Any, makers: dict[str, Any], readers: Counter[str]) -> list[int]:
    """Positions of an addition's inputs that are read from memory, not computed by the kernel it is fused into."""
    fusable = [
        position
        for position, tensor in enumerate(node.input)
        if tensor in makers and makers[tensor].op_type in WEIGHTED and readers[tensor] == 1
    ]
    # With two convolutions before it, the addition is fused into the first: torch's `out += identity` names it first.
    return [position for position in range(len(node.input)) if position not in fusable[:1]]
