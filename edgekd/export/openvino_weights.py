"""INT8 weights in an OpenVINO model whose activations the CPU plugin quantizes at run time.

    y = x . (s_w q_w)^T + b

The file holds `q_w` and `s_w`; the plugin keeps them so, and quantizes x itself, one scale for each `GROUP` values of
a token, where it has the kernel (x86 with VNNI). It is told so by the property that this writes into the file, and by
those of `COMPILE`, which a file cannot hold. Where there is no such kernel it multiplies x in float with restored
weights: the file is small there, but not fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.backends import need
from edgekd.compress import affine
from edgekd.errors import ExportError
from edgekd.export.formats.openvino import OpenVino

if TYPE_CHECKING:
    from edgekd.export.onnx_graph import BoundGraph

GROUP = OpenVino.dynamic_group
PROPERTY = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
COMPILE = {"INFERENCE_PRECISION_HINT": "f32"}
"""With AMX the plugin would take bfloat16 for x, of which it quantizes nothing."""


def compress_weights(model: Any, graph: BoundGraph, bits: Literal[7, 8]) -> int:
    """Stores the weights of the description's layers in INT8; returns how many.

    Args:
        model: the OpenVINO model of `graph.model`; it is changed.
        graph: the float model bound to the description.
        bits: 7 leaves the top weight bit unused, as in static quantization.

    Raises:
        ExportError: a layer is not in the model, or its width is no multiple of `GROUP`.
    """
    opset: Any = need("openvino.opset13", extra="openvino")
    nodes = {node.name: node for node in graph.model.graph.node}
    wanted = {nodes[name].input[1] for name in graph.integer}
    made: dict[str, Any] = {}
    count = 0
    for product in [item for item in model.get_ordered_ops() if item.get_type_name() == "MatMul"]:
        weight = product.input(1).get_source_output().get_node()
        name = weight.get_friendly_name()
        if weight.get_type_name() != "Constant" or name not in wanted:
            continue
        if name not in made:
            values: NDArray[np.float32] = np.array(weight.get_data(), np.float32)
            axis = 0 if product.get_attributes()["transpose_b"] else 1
            if values.shape[1 - axis] % GROUP:
                raise ExportError(
                    "OpenVINO quantizes activations at run time only in whole groups: this layer would run in float",
                    where=name,
                    received=f"{values.shape[1 - axis]} inputs",
                    accepted=f"a multiple of {GROUP}",
                    hint="compress: {method: int8_static}, or keep_float: [...]",
                )
            grid = affine.weight(values, bits=bits, axis=axis if graph.per_channel else None)
            scale = grid.scale if grid.axis is None else np.expand_dims(grid.scale, 1 - axis)
            integers = opset.constant(affine.quantize(values, grid).astype(np.int8))
            made[name] = opset.multiply(opset.convert(integers, "f32"), opset.constant(scale))
        product.input(1).replace_source_output(made[name].output(0))
        count += 1
    if count != len(graph.integer):
        raise ExportError(
            "layers that the quantization description makes integers are not in the OpenVINO model",
            received=f"{count} of {len(graph.integer)}",
        )
    model.set_rt_info(str(GROUP), ["runtime_options", PROPERTY])
    return count


def quantizes_activations(path: Path, sample: list[NDArray[Any]]) -> bool:
    """The plugin of this machine really quantizes them: without, it gives another answer."""
    ov: Any = need("openvino", extra="openvino")
    answers = [
        ov.Core().compile_model(str(path), "CPU", {**COMPILE, "INFERENCE_NUM_THREADS": 1, PROPERTY: group})(sample)[0]
        for group in (0, GROUP)
    ]
    return not np.array_equal(*answers)
