"""TensorRT's rules for explicitly quantized ONNX, checked on the file: no TensorRT is needed to know what it refuses.

Sources: onnx-tensorrt `docs/operators.md` (opsets 9 to 20; UINT8 only as network input or output; QLinear operators not
supported; zero points must be 0) and `onnxOpImporters.cpp`, `QuantDequantLinearHelper` (positive constant scales,
scale and zero point of one size, per-channel only on weights) and `Conv` (bias must be an initializer), as of
TensorRT 10.1; TensorRT documentation, "Explicit Quantization", for 10 to 11.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.export.onnx_file import onnx_module
from edgekd.export.tensorrt_qdq import WEIGHTED, channel_axis

OPSETS = range(9, 21)
INTEGER_OPERATORS = {
    "ConvInteger",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
}
QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True)
class _Graph:
    """Look-ups that the rules share."""

    model: Any
    constants: dict[str, Any]
    makers: dict[str, Any]
    readers: dict[str, list[Any]]

    @classmethod
    def of(cls, model: Any) -> _Graph:
        makers = {name: node for node in model.graph.node for name in node.output}
        readers: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return cls(model, {item.name: item for item in model.graph.initializer}, makers, readers)

    def values(self, name: str) -> NDArray[Any] | None:
        """A stored tensor; None for a computed one."""
        item = self.constants.get(name)
        return None if item is None else onnx_module().numpy_helper.to_array(item)

    def dtype(self, name: str) -> int | None:
        """ONNX type of a stored tensor."""
        item = self.constants.get(name)
        return None if item is None else int(item.data_type)


def conforms(model: Any) -> list[str]:
    """Why TensorRT would refuse an ONNX model, or not run it in integers; empty when it conforms.

    Args:
        model: a `ModelProto`.
    """
    graph = _Graph.of(model)
    reasons = [*_opsets(model), *_dimensions(model), *_unsigned(graph)]
    for node in model.graph.node:
        if node.op_type in INTEGER_OPERATORS or node.op_type.startswith("QLinear"):
            reasons.append(f"{_title(node)}: TensorRT takes QuantizeLinear/DequantizeLinear, not integer operators")
        elif node.op_type in QUANTIZERS:
            reasons += [f"{_title(node)}: {reason}" for reason in _quantizer(node, graph)]
        elif node.op_type == "Conv":
            reasons += [f"{_title(node)}: {reason}" for reason in _bias(node, graph)]
    return reasons


def _title(node: Any) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _opsets(model: Any) -> Iterable[str]:
    for item in model.opset_import:
        used = any(node.domain == item.domain for node in model.graph.node)
        if item.domain in ("", "ai.onnx"):
            if item.version not in OPSETS:
                yield f"opset {item.version}: TensorRT 10.0 reads {OPSETS.start} to {OPSETS.stop - 1}"
        elif used:
            yield f"operators of the domain {item.domain}: TensorRT reads only standard ONNX operators"


def _dimensions(model: Any) -> Iterable[str]:
    known = {item.name for item in model.graph.initializer}
    # Token ids are the one input of integers: the optimization profile of a text network has a free length as well.
    texts = int(any(item.type.tensor_type.elem_type == onnx_module().TensorProto.INT64 for item in model.graph.input))
    for value in (*model.graph.input, *model.graph.output):
        if value.name in known:
            continue
        dims = list(value.type.tensor_type.shape.dim)
        free = [position for position, dim in enumerate(dims) if not dim.HasField("dim_value") and position > texts]
        if free:
            allowed = "the batch (axis 0) and the tokens (axis 1)" if texts else "the batch (axis 0)"
            yield f"tensor {value.name}: axes {free} are free; only {allowed} may be"


def _unsigned(graph: _Graph) -> Iterable[str]:
    uint8 = onnx_module().TensorProto.UINT8
    for name in graph.constants:
        if graph.dtype(name) == uint8:
            yield f"tensor {name}: UINT8; TensorRT quantizes to INT8 only"


def _quantizer(node: Any, graph: _Graph) -> Iterable[str]:
    types = onnx_module().TensorProto
    scale = graph.values(node.input[1])
    if scale is None:
        yield "its scale is computed; it must be stored"
    else:
        if graph.dtype(node.input[1]) != types.FLOAT:
            yield "its scale is not float32"
        if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
            yield "its scales must all be positive"
    if len(node.input) < 3 or not node.input[2]:
        yield "it has no zero point, which means UINT8 in ONNX"
    else:
        yield from _zero_point(node, scale, graph)
    if node.op_type == "QuantizeLinear":
        if scale is not None and scale.size > 1:
            yield "an activation needs one scale; per-channel scales are for weights"
        if node.input[0] in graph.constants:
            yield "it quantizes a stored tensor at build time; store the INT8 weight behind a DequantizeLinear"
        readers = graph.readers.get(node.output[0], [])
        if not readers or any(reader.op_type != "DequantizeLinear" for reader in readers):
            yield "its output must be read by DequantizeLinear only"
    else:
        yield from _dequantizer(node, scale, graph)


def _zero_point(node: Any, scale: NDArray[Any] | None, graph: _Graph) -> Iterable[str]:
    types = onnx_module().TensorProto
    zero = graph.values(node.input[2])
    if zero is None:
        yield "its zero point is computed; it must be stored"
        return
    kind = graph.dtype(node.input[2])
    if kind != types.INT8:
        yield f"its zero point is {types.DataType.Name(kind)}; TensorRT quantizes to INT8 only"
    if np.any(zero != 0):
        yield f"its zero point is {int(zero.ravel()[np.flatnonzero(zero.ravel())[0]])}; TensorRT needs 0 (symmetric)"
    if scale is not None and zero.size != scale.size:
        yield f"it has {scale.size} scales and {zero.size} zero points"


def _dequantizer(node: Any, scale: NDArray[Any] | None, graph: _Graph) -> Iterable[str]:
    types = onnx_module().TensorProto
    source = node.input[0]
    if source not in graph.constants:
        maker = graph.makers.get(source)
        if maker is None or maker.op_type != "QuantizeLinear":
            yield "it must read a QuantizeLinear or a stored INT8 weight"
        if scale is not None and scale.size > 1:
            yield "an activation needs one scale; per-channel scales are for weights"
        return
    if graph.dtype(source) == types.INT32:
        yield "it restores an INT32 bias; biases must be float"
    elif graph.dtype(source) != types.INT8:
        yield f"it restores a {types.DataType.Name(graph.dtype(source))} tensor; weights must be INT8"
    if scale is None or scale.size == 1:
        return
    stored = graph.values(source)
    axis = next((int(item.i) for item in node.attribute if item.name == "axis"), 1)  # 1 is ONNX's default
    for reader in graph.readers.get(node.output[0], []):
        if reader.op_type in WEIGHTED and axis != channel_axis(reader):
            wanted = channel_axis(reader)
            yield f"its scales lie along axis {axis}; the output channels of {_title(reader)} are axis {wanted}"
    if stored is not None and (axis >= stored.ndim or stored.shape[axis] != scale.size):
        yield f"it has {scale.size} scales for axis {axis} of a weight of shape {list(stored.shape)}"


def _bias(node: Any, graph: _Graph) -> Iterable[str]:
    if len(node.input) > 2 and node.input[2] and graph.dtype(node.input[2]) != onnx_module().TensorProto.FLOAT:
        yield "its bias must be a stored float32 tensor"
