"""OpenVINO IR: float, or INT8 as FakeQuantize operators that the CPU plugin fuses; any batch size."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from edgekd.backends import need, versions
from edgekd.errors import ExportError
from edgekd.export.format import Exported, Format, dynamic_notes, weight_bits
from edgekd.isolated import isolated
from edgekd.scratch import scratch

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules
    from edgekd.export.onnx_graph import BoundGraph

ENTRY = "model.xml"


class OpenVino(Format):
    """`model.xml` and `model.bin`: input `input` `(B, C, H, W)` float32, output `logits` `(B, K)` float32.

    For texts the inputs are `input_ids` and `attention_mask` `(B, T)` int64, and B and T are free.
    """

    runtime: ClassVar[str] = "openvino"
    # Divides the width of every common transformer; smaller groups are no slower, as one is one vector of the kernel.
    dynamic_group: ClassVar[int] = 32

    def identity(self) -> dict[str, Any]:
        """Versions of torch's exporter, of ONNX Runtime's QDQ writer and of OpenVINO."""
        return versions("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "numpy")

    def export(
        self, program: Program, description: Description | None, folder: Path, rules: QuantizationRules
    ) -> Exported:
        """Converts the ONNX model that fuses; an INT8 file's multiplying operators must run as integer kernels."""
        from edgekd.export.onnx_file import exported, save_onnx
        from edgekd.export.onnx_float import float_onnx
        from edgekd.export.onnx_graph import bound_onnx

        ov: Any = need("openvino", extra="openvino")
        notes: dict[str, Any] = {}
        graph = None if description is None else bound_onnx(program, description)
        if description is None or graph is None:
            model, counts = float_onnx(program), {}
        else:
            model, counts, notes = _quantized(graph, description, rules)
        is_dynamic = description is not None and description.dynamic
        with scratch() as work:
            path = work / "model.onnx"
            save_onnx(model, path)
            _convert(ov, path, folder / ENTRY, graph if is_dynamic else None, notes.get("weight_bits", 8))
        if description is not None:
            notes |= _kernel_notes(folder / ENTRY, counts, program if is_dynamic else None)
        return exported(model, ENTRY, notes)


def _quantized(
    graph: BoundGraph, description: Description, rules: QuantizationRules
) -> tuple[Any, dict[str, int], dict[str, Any]]:
    """The ONNX model to convert, the products that must run in integers, and notes."""
    from edgekd.export.onnx_constants import shrink_tables
    from edgekd.export.onnx_qdq import place
    from edgekd.export.openvino_weights import COMPILE, GROUP

    notes = dynamic_notes(description, f"one scale per {GROUP} values of a token")
    bits = weight_bits(description, rules)
    if description.dynamic:
        notes["compile"] = COMPILE
        shrink_tables(graph.model, graph.tables)
        return graph.model, {"MatMul": len(graph.integer)}, {"weight_bits": bits, "left_float": {}, **notes}
    placed = place(graph, bits)
    return placed.model, placed.counts, {"weight_bits": bits, "left_float": placed.left, **notes}


def _kernel_notes(path: Path, counts: Mapping[str, int], dynamic: Program | None) -> dict[str, Any]:
    """What the plugin executes; INT8 weights whose activations it does not quantize (`dynamic`) count as float."""
    from edgekd.compress.tensors import as_numpy
    from edgekd.export.kernels import openvino_kernels
    from edgekd.export.openvino_weights import COMPILE, quantizes_activations

    config = {"INFERENCE_NUM_THREADS": 1, **({} if dynamic is None else COMPILE)}
    kernels = openvino_kernels(path, config)
    if dynamic is not None:
        sample = [as_numpy(item) for item in dynamic.sample(0)]
        kernels = kernels if isolated("OpenVINO", quantizes_activations, path, sample) else kernels.in_float()
    # Only the x86 plugin computes every convolution in integers; elsewhere the count says nothing about x86.
    unfused = kernels.require(_as_counted(counts), "OpenVINO") if _is_x86() else {}
    unfused = {kind: count for kind, count in unfused.items() if kind == "MatMul"}
    return {**kernels.notes(f"openvino on {platform.machine()}"), "unfused": unfused}


def _convert(ov: Any, source: Path, target: Path, graph: BoundGraph | None, bits: Literal[7, 8]) -> None:
    """Writes the IR; of a graph whose activations are quantized at run time, with INT8 weights."""
    from edgekd.export.openvino_forms import settle
    from edgekd.export.openvino_weights import compress_weights

    try:
        # Not convert_model: it gives the same kernels, takes 8 times as long and sends telemetry.
        model = ov.Core().read_model(str(source))
    except RuntimeError as error:
        # A log whose last line is the reason, and a summary whose last line is the operator.
        parts = [part.strip().split("\n")[-1][:300] for part in str(error).split("\nSummary:")]
        raise ExportError("OpenVINO cannot convert the network", received="; ".join(parts)) from error
    if graph is not None:
        compress_weights(model, graph, bits)
    settle(model)
    _name_plainly(model)
    ov.save_model(model, str(target), compress_to_fp16=False)


def _name_plainly(model: Any) -> None:
    """OpenVINO numbers unnamed operators through the whole process; numbered through the model, bytes repeat."""
    for position, node in enumerate(model.get_ordered_ops()):
        if node.get_friendly_name() == node.get_name():
            node.set_friendly_name(f"{node.get_type_name()}_at_{position}")


def _as_counted(placed: Mapping[str, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for kind, count in placed.items():
        if kind in {"Conv", "Gemm", "MatMul"}:
            counts["MatMul" if kind == "Gemm" else kind] += count
    return dict(counts)


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64"}
