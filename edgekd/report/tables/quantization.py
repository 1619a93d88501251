"""What stayed in float and why; where the files are and what their exports noted."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Column, Details, Group, Paragraph, Table, Terms
from edgekd.report.document import Exported, Quantization

COLUMNS = (
    Column("Layer", numeric=False),
    Column("Operator", numeric=False),
    Column("Why it stays in float", numeric=False),
)


def kept_float(files: list[Exported]) -> list[Block]:
    """Layers left in float; files that were quantized alike are told once."""
    alike: list[tuple[Quantization, list[Exported]]] = []
    for artifact in files:
        quantization = artifact.quantization
        if quantization is None:
            continue
        owners = next((owners for other, owners in alike if other == quantization), None)
        if owners is None:
            alike.append((quantization, [artifact]))
        else:
            owners.append(artifact)
    return [_kept(quantization, owners) for quantization, owners in alike]


def _kept(quantization: Quantization, owners: list[Exported]) -> Block:
    names = ", ".join(owner.label for owner in owners)
    kept = quantization.kept_float
    total = len(kept) + len(quantization.quantized)
    bits = f"{quantization.weight_bits}-bit weights"
    if not kept:
        return Paragraph(f"No layer was left in float: all {total} operators run in integers, {bits} ({names}).")
    rows = tuple((Cell(item.layer, code=True), Cell(item.operator, code=True), Cell(item.reason)) for item in kept)
    verb = "operator stays" if len(kept) == 1 else "operators stay"
    summary = f"{len(kept)} of {total} {verb} in float, {bits} ({names})"
    return Details(summary, (Table("Layers left in float", COLUMNS, (Group(rows),)),))


def files_and_notes(files: list[Exported]) -> Block:
    """Per file: its folder, how it was quantized, what its export and its measurement noted."""
    items: list[Block] = []
    for artifact in files:
        terms = [("folder", Cell(artifact.path, code=True))]
        if artifact.quantization:
            terms.append(("quantization", Cell(units.fact(artifact.quantization.method))))
            terms.extend(
                (units.name(key), Cell(units.fact(value))) for key, value in artifact.quantization.extras().items()
            )
        terms.extend((units.name(key), Cell(units.fact(value))) for key, value in artifact.notes.items())
        if artifact.measurement:
            terms.extend(
                (units.name(key), Cell(units.fact(value))) for key, value in artifact.measurement.extras().items()
            )
        items.extend((Paragraph(f"{artifact.label}, {artifact.runtime}", "strong"), Terms(tuple(terms))))
    return Details("Files, quantization method and notes", tuple(items))
