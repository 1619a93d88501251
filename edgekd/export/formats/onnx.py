"""ONNX for ONNX Runtime: float, INT8 as QuantizeLinear/DequantizeLinear pairs, or integer products; any batch size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgekd.backends import versions
from edgekd.export.format import Exported, Format, dynamic_notes, weight_bits

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules

ENTRY = "model.onnx"


class Onnx(Format):
    """One `model.onnx`: input `input` `(B, C, H, W)` float32, output `logits` `(B, K)` float32.

    For texts the inputs are `input_ids` and `attention_mask` `(B, T)` int64, and B and T are free.
    """

    runtime: ClassVar[str] = "onnxruntime"

    def identity(self) -> dict[str, Any]:
        """Versions of torch's exporter and of ONNX Runtime's QDQ writer."""
        return versions("torch", "onnx", "onnxscript", "onnxruntime", "numpy")

    def export(
        self, program: Program, description: Description | None, folder: Path, rules: QuantizationRules
    ) -> Exported:
        """Writes `model.onnx`; an INT8 file's multiplying operators must fuse into integer kernels."""
        from edgekd.export.kernels import onnxruntime_kernels
        from edgekd.export.onnx_dynamic import place_dynamic
        from edgekd.export.onnx_file import exported, save_onnx
        from edgekd.export.onnx_float import OPSET, float_onnx
        from edgekd.export.onnx_graph import bound_onnx
        from edgekd.export.onnx_norms import part_norms
        from edgekd.export.onnx_qdq import place
        from edgekd.export.onnx_rows import in_rows

        notes: dict[str, Any] = {"opset": OPSET}
        path = folder / ENTRY
        if description is None:
            model = float_onnx(program)
            part_norms(model)
            save_onnx(model, path)
        else:
            bits = weight_bits(description, rules)
            write = place_dynamic if description.dynamic else place
            placed = write(bound_onnx(program, description), bits)
            placed = placed if description.dynamic else in_rows(placed)
            model = placed.model
            part_norms(model)
            save_onnx(model, path)
            kernels = onnxruntime_kernels(path)
            unfused = kernels.require(placed.counts, "ONNX Runtime")
            notes |= kernels.notes("onnxruntime") | {"weight_bits": bits, "unfused": unfused, "left_float": placed.left}
            notes |= dynamic_notes(description, "one scale per token")
        return exported(model, ENTRY, notes)
