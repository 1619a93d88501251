"""The float ONNX model, written by torch's exporter: what every ONNX-based format starts from.

Opset 18 is the exporter's own (`torch.onnx` writes 18 and converts upwards from there), and lies inside what every
consumer reads: TensorRT 10.0 takes 9 to 20 (onnx-tensorrt `docs/operators.md`), ONNX Runtime 1.32 and OpenVINO 2026.4
take more.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

from edgekd.backends import need
from edgekd.errors import ExportError, cause_of
from edgekd.export.onnx_file import check_onnx, drop_unused, onnx_module, strip

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

OPSET = 18
OUTPUT = "logits"


def float_onnx(program: Program) -> Any:
    """A `ModelProto`; a copy of its own.

    Images: input `input` `(B, C, H, W)`, output `logits` `(B, K)`, B free. Texts: inputs `input_ids` and
    `attention_mask` `(B, T)` int64, B and T free.

    Raises:
        ExportError: the network has an operator that ONNX cannot express.
    """
    kept = program.once("float_onnx", lambda: _export(program))
    copy = onnx_module().ModelProto()
    copy.CopyFrom(kept)
    return copy


def _export(program: Program) -> Any:
    import torch

    onnx = onnx_module()
    need("onnxscript", extra="onnx")
    try:
        with warnings.catch_warnings():
            # The program is in evaluation mode already; what else is said is for the exporter's developers.
            warnings.simplefilter("ignore")
            exported = cast(Any, torch.onnx).export(
                program.module,
                program.pair(),
                dynamo=True,
                input_names=list(program.names),
                output_names=[OUTPUT],
                dynamic_shapes=program.dynamic_shapes,
                opset_version=OPSET,
                optimize=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ExportError("the network cannot be written as ONNX", received=cause_of(error)) from error
    if exported is None:
        raise ExportError("torch's ONNX exporter returned nothing")
    model: Any = exported.model_proto
    strip(model)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    _tidy(model)
    if program.max_tokens is not None:
        _reorder_gelu(model)
    check_onnx(model, "the float ONNX model")
    return model


def _tidy(model: Any) -> None:
    """Pools over all of height and width become GlobalAveragePool, which integer runtimes know; names stay."""
    onnx = onnx_module()
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    ranks = {item.name: len(item.type.tensor_type.shape.dim) for item in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in constants:
            continue
        keeps = all(attribute.i == 1 for attribute in node.attribute if attribute.name == "keepdims")
        rank = ranks.get(node.input[0], 0)
        axes = sorted(int(axis) % rank for axis in constants[node.input[1]].ravel()) if rank else []
        if keeps and rank == 4 and axes == [2, 3]:
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]
    drop_unused(model)


def _reorder_gelu(model: Any) -> None:
    """`x * (0.5 * e)` becomes `(x * e) * 0.5` with `e = 1 + erf(x / sqrt 2)`: ONNX Runtime fuses this order alone."""
    onnx = onnx_module()
    makers = {node.output[0]: node for node in model.graph.node}
    stored = {item.name: item for item in model.graph.initializer}
    for node in [item for item in model.graph.node if item.op_type == "Mul"]:
        halved = next(
            (makers[name] for name in node.input if name in makers and _is_half_erf(makers[name], makers)), None
        )
        if halved is None:
            continue
        half = next(name for name in halved.input if name in stored)
        if float(onnx.numpy_helper.to_array(stored[half]).ravel()[0]) != 0.5:
            continue
        (source,) = [name for name in node.input if name != halved.output[0]]
        (grown,) = [name for name in halved.input if name != half]
        del halved.input[:]
        halved.input.extend([source, grown])
        del node.input[:]
        node.input.extend([halved.output[0], half])


def _is_half_erf(node: Any, makers: dict[str, Any]) -> bool:
    """This multiplies `1 + erf(...)` by a constant."""
    sums = [makers[name] for name in node.input if name in makers and makers[name].op_type == "Add"]
    if node.op_type != "Mul" or len(sums) != 1:
        return False
    return any(name in makers and makers[name].op_type == "Erf" for name in sums[0].input)
