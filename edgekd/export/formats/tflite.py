"""TFLite for LiteRT: float, or full-integer INT8 including input and output; batch 1, NHWC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgekd.artifact import Tensor
from edgekd.backends import versions
from edgekd.export.format import Exported, Format, dynamic_notes

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules
    from edgekd.export.tflite_file import TfliteGraph

ENTRY = "model.tflite"


class Tflite(Format):
    """One `model.tflite`: input `input` `(1, H, W, C)`, output `logits` `(1, K)`, float32 or INT8.

    For texts the inputs are `input_ids` and `attention_mask` `(1, T)` INT32, padded to one of the manifest's
    `sequence_lengths`, each a signature `tokens_T`; the output is float32.
    """

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
        from edgekd.export.tflite_norms import unfolded_tflite
        from edgekd.export.tflite_text import float_text, int8_text, lengths, read_signatures

        notes: dict[str, Any] = {"batch": 1}
        limit = program.max_tokens
        if limit is not None:
            notes["sequence_lengths"] = lengths(limit)
        make_float, make_int8 = (float_tflite, int8_tflite) if limit is None else (float_text, int8_text)
        if description is None:
            content = make_float(program)
        else:
            content, choice = make_int8(program, description)
            source = read_tflite(unfolded_tflite(program) if limit is None else float_text(program))
            # Every signature of a text network has the same operators.
            for graph in [read_tflite(content)] if limit is None else read_signatures(content).values():
                kernels = tflite_kernels(graph)
                kernels.require(placed_counts(source, choice), "LiteRT")
                notes |= kernels.notes("file") | {"weight_bits": 8, "left_float": choice.left}
            notes |= dynamic_notes(description, "one scale per token", choice.left)
            if rules.weight_bits == 7:
                notes["weight_bits_reason"] = "LiteRT's kernels do not saturate with 8-bit weights; 7 are not needed"
        (folder / ENTRY).write_bytes(content)
        graph = read_tflite(content)
        notes["operators"] = sorted({item.kind for item in graph.operators})
        inputs, outputs = _signature(graph) if limit is None else _text_signature(program, graph)
        return Exported(entry=ENTRY, inputs=inputs, outputs=outputs, notes=notes)


def _text_signature(program: Program, graph: TfliteGraph) -> tuple[list[Tensor], list[Tensor]]:
    """The number of tokens is free among the signatures' lengths."""
    from edgekd.export.tflite_file import OUTPUT

    shape = graph.shapes[graph.outputs[0]]
    last = [None, shape[-1]] if len(shape) == 3 else [shape[-1]]
    inputs = [Tensor(name=name, dtype="int32", shape=[1, None]) for name in program.names]
    return inputs, [Tensor(name=OUTPUT, dtype=graph.dtypes[graph.outputs[0]], shape=[1, *last])]


def _signature(graph: TfliteGraph) -> tuple[list[Tensor], list[Tensor]]:
    from edgekd.export.tflite_file import INPUT, OUTPUT

    def describe(name: str, index: int, layout: str | None) -> Tensor:
        return Tensor(name=name, dtype=graph.dtypes[index], shape=list(graph.shapes[index]), layout=layout)

    return [describe(INPUT, graph.inputs[0], "NHWC")], [describe(OUTPUT, graph.outputs[0], None)]
