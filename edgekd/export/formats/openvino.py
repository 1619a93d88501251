"""OpenVINO IR: float, or INT8 as FakeQuantize operators that the CPU plugin fuses; any batch size."""

from __future__ import annotations

import platform
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgekd.backends import need, versions
from edgekd.errors import ExportError
from edgekd.export.format import Exported, Format, weight_bits

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules

ENTRY = "model.xml"


class OpenVino(Format):
    """`model.xml` and `model.bin`: input `input` `(B, C, H, W)` float32, output `logits` `(B, K)` float32."""

    runtime: ClassVar[str] = "openvino"

    def identity(self) -> dict[str, Any]:
        """Versions of torch's exporter, of ONNX Runtime's QDQ writer and of OpenVINO."""
        return versions("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "numpy")

    def export(
        self, program: Program, description: Description | None, folder: Path, rules: QuantizationRules
    ) -> Exported:
        """Converts the ONNX model that fuses; an INT8 file's multiplying operators must run as integer kernels."""
        from edgekd.export.kernels import openvino_kernels
        from edgekd.export.onnx_file import operators, save_onnx, signature
        from edgekd.export.onnx_float import LAYOUTS, float_onnx
        from edgekd.export.onnx_graph import bound_onnx
        from edgekd.export.onnx_qdq import place

        ov: Any = need("openvino", extra="openvino")
        notes: dict[str, Any] = {}
        if description is None:
            model, counts = float_onnx(program), {}
        else:
            bits = weight_bits(description, rules)
            placed = place(bound_onnx(program, description), bits)
            model, counts = placed.model, placed.counts
            notes |= {"weight_bits": bits, "left_float": placed.left}
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.onnx"
            save_onnx(model, path)
            _convert(ov, path, folder / ENTRY)
        if description is not None:
            compiled = ov.Core().compile_model(str(folder / ENTRY), "CPU", {"INFERENCE_NUM_THREADS": 1})
            kernels = openvino_kernels(compiled)
            # Only the x86 plugin computes every convolution in integers; elsewhere the count says nothing about x86.
            unfused = kernels.require(_as_counted(counts), "OpenVINO") if _is_x86() else {}
            notes |= kernels.notes(f"openvino on {platform.machine()}")
            notes["unfused"] = {kind: count for kind, count in unfused.items() if kind == "MatMul"}
        inputs, outputs = signature(model, LAYOUTS)
        return Exported(entry=ENTRY, inputs=inputs, outputs=outputs, notes={**notes, "operators": operators(model)})


def _convert(ov: Any, source: Path, target: Path) -> None:
    try:
        # Not convert_model: it gives the same kernels, takes 8 times as long and sends telemetry.
        model = ov.Core().read_model(str(source))
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[-1][:300]
        raise ExportError("OpenVINO cannot convert the network", received=reason) from error
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
