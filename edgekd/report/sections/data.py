"""What the run was trained and scored on, and how well calibration covers it."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Column, Details, Group, Heading, Paragraph, Section, Table, Terms, missing
from edgekd.report.document import NO_REASON, Calibration, Data, Document, DomainShift
from edgekd.report.tables.cells import unrecorded

MANY_CLASSES = 24
"""More classes than this are folded away, with their extremes in the line above."""


def section(document: Document) -> Section | None:
    """Splits, classes, calibration coverage and domain shift."""
    data = document.data
    terms = [
        ("reader", unrecorded(units.fact(data.reader) if data.reader else None)),
        ("licence", Cell(data.licence) if data.licence else Cell("not stated in the recipe", tone="muted")),
        ("sha256", unrecorded(data.sha256, code=True)),
        *((f"{split} images", Cell(units.integer(sum(counts.values())))) for split, counts in data.counts.items()),
        *((units.name(name), Cell(units.fact(value))) for name, value in data.extras().items()),
    ]
    blocks: list[Block] = [Terms(tuple(terms)), *_calibration(data.calibration), *_coverage(data)]
    return Section("data", "Data and calibration", tuple(blocks))


def _calibration(calibration: Calibration | None) -> list[Block]:
    if calibration is None:
        return [Heading("Calibration"), Paragraph("The run has no calibration set.", "muted")]
    removed = calibration.overlap_removed
    terms = (
        ("images", Cell(units.integer(calibration.samples))),
        ("source", unrecorded(calibration.source)),
        ("sha256", unrecorded(calibration.sha256, code=True)),
        ("removed, as also in the test split", missing(NO_REASON) if removed is None else Cell(units.integer(removed))),
        *((units.name(name), Cell(units.fact(value))) for name, value in calibration.extras().items()),
    )
    return [Heading("Calibration"), Terms(terms), *_shift(calibration.domain_shift)]


def _shift(shift: DomainShift | None) -> list[Block]:
    if shift is None:
        return [Paragraph("Domain shift against the training images: not measured: the run gave no figures.", "muted")]
    rows = tuple(
        (Cell(f"channel {index}"), Cell(units.signed(mean, 3)), Cell(units.significant(std)))
        for index, (mean, std) in enumerate(zip(shift.channel_mean_shift, shift.channel_std_ratio, strict=False))
    )
    columns = (Column("", numeric=False), Column("Shift of the mean"), Column("Ratio of the standard deviations"))
    footnote = "In standard deviations of the training images; 0 and 1 mean that calibration looks like training."
    return [Table("Domain shift of calibration against training", columns, (Group(rows),), footnote=footnote)]


def _coverage(data: Data) -> list[Block]:
    coverage = data.calibration.coverage if data.calibration else None
    splits = list(data.counts)
    columns = (Column("Class", numeric=False), *(Column(split.capitalize()) for split in splits), Column("Calibration"))
    rows: list[tuple[Cell, ...]] = []
    for name in data.classes:
        counts = [Cell(units.integer(data.counts[split].get(name, 0))) for split in splits]
        if coverage is None:
            why = "the calibration images have no labels" if data.calibration else "the run has no calibration set"
            counts.append(missing(why))
        else:
            found = coverage.get(name, 0)
            counts.append(Cell(units.integer(found), tone="" if found else "bad"))
        rows.append((Cell(name), *counts))
    table = Table("Images per class", columns, (Group(tuple(rows)),))
    text = _coverage_sentence(data, coverage)
    block: Block = Details("Images per class", (table,)) if len(data.classes) > MANY_CLASSES else table
    return [Heading("Classes"), Paragraph(text), block]


def _coverage_sentence(data: Data, coverage: dict[str, int] | None) -> str:
    total = len(data.classes)
    if coverage is None:
        return f"{total} classes."
    found = [coverage.get(name, 0) for name in data.classes]
    covered = sum(number > 0 for number in found)
    spread = f"{min(found)} to {max(found)} images each" if min(found) != max(found) else f"{min(found)} images each"
    if covered == total:
        return f"Calibration covers all {total} classes, {spread}."
    return f"Calibration covers {covered} of {total} classes: {total - covered} have no calibration image."
