"""What stayed in float and why; where the files are and what their exports noted."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Details, Paragraph, Terms, columns, table
from edgekd.report.cells import facts
from edgekd.report.document.artifacts import Exported, Quantization

COLUMNS = columns("Layer|Operator|Why it stays in float")


def kept_float(files: list[Exported]) -> list[Block]:
    """Layers left in float; files that were quantized alike are told once."""
    alike: list[tuple[Quantization, list[str]]] = []
    for artifact in files:
        if artifact.quantization is None:
            continue
        names = next((names for other, names in alike if other == artifact.quantization), None)
        if names is None:
            alike.append((artifact.quantization, names := []))
        names.append(artifact.label)
    return [_kept(quantization, ", ".join(names)) for quantization, names in alike]


def _kept(quantization: Quantization, names: str) -> Block:
    kept = quantization.kept_float
    total = len(kept) + len(quantization.quantized)
    how = f"{quantization.weight_bits}-bit weights ({names})"
    if not kept:
        return Paragraph(f"No layer was left in float: all {total} operators run in integers, {how}.")
    rows = ((Cell(item.layer, code=True), Cell(item.operator, code=True), Cell(item.reason)) for item in kept)
    verb = "operator stays" if len(kept) == 1 else "operators stay"
    summary = f"{len(kept)} of {total} {verb} in float, {how}"
    return Details(summary, (table("Layers left in float", COLUMNS, rows),))


def files_and_notes(files: list[Exported]) -> Block:
    """Per file: its folder, how it was quantized, what its export and its measurement noted."""
    items: list[Block] = []
    for artifact in files:
        terms = [("folder", Cell(artifact.path, code=True))]
        if artifact.quantization:
            terms.append(("quantization", Cell(units.fact(artifact.quantization.method))))
            terms += facts(artifact.quantization.extras())
        terms += facts(artifact.notes)
        terms += facts(artifact.measurement.extras()) if artifact.measurement else []
        items += [Paragraph(f"{artifact.label}, {artifact.runtime}", "strong"), Terms(tuple(terms))]
    return Details("Files, quantization method and notes", tuple(items))
