"""TFLite for LiteRT: float, or full-integer INT8 including input and output; batch 1, NHWC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgekd.artifact import Tensor
from edgekd.backends import versions
from edgekd.export.format import Exported, Format

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules
    from edgekd.export.tflite_file import TfliteGraph

ENTRY = "model.tflite"


class Tflite(Format):
    """One `model.tflite`: input `input` `(1, H, W, C)`, output `logits` `(1, K)`, float32 or INT8."""

    runtime: ClassVar[str] = "litert"

    def identity(self) -> dict[str, Any]:
        """Versions of the converter and of the quantizer."""
        return versions("torch", "litert-torch", "litert-converter", "ai-edge-litert", "ai-edge-quantizer", "numpy")

    def export(
        self, program: Program, description: Description | None, folder: Path, rules: QuantizationRules
    ) -> Exported:
        """Writes `model.tflite`. Weights always have 8 bits: LiteRT's kernels do not add in 16 bits."""
        from edgekd.export.tflite_file import float_tflite, read_tflite
        from edgekd.export.tflite_int8 import int8_tflite, placed_counts, tflite_kernels

        notes: dict[str, Any] = {"batch": 1}
        if description is None:
            content = float_tflite(program)
        else:
            content, choice = int8_tflite(program, description)
            kernels = tflite_kernels(read_tflite(content))
            kernels.require(placed_counts(read_tflite(float_tflite(program)), choice), "LiteRT")
            notes |= kernels.notes("file") | {"weight_bits": 8, "left_float": choice.left}
            if rules.weight_bits == 7:
                notes["weight_bits_reason"] = "LiteRT's kernels do not saturate with 8-bit weights; 7 are not needed"
        (folder / ENTRY).write_bytes(content)
        graph = read_tflite(content)
        notes["operators"] = sorted({item.kind for item in graph.operators})
        inputs, outputs = _signature(graph)
        return Exported(entry=ENTRY, inputs=inputs, outputs=outputs, notes=notes)


def _signature(graph: TfliteGraph) -> tuple[list[Tensor], list[Tensor]]:
    from edgekd.export.tflite_file import INPUT, OUTPUT

    def describe(name: str, index: int, layout: str | None) -> Tensor:
        return Tensor(name=name, dtype=graph.dtypes[index], shape=list(graph.shapes[index]), layout=layout)

    return [describe(INPUT, graph.inputs[0], "NHWC")], [describe(OUTPUT, graph.outputs[0], None)]
