"""What the run was trained and scored on, and how well calibration covers it."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Column, Details, Heading, Paragraph, Row, Section, Terms, columns, table
from edgekd.report.cells import facts, missing, number, recorded
from edgekd.report.document import Document
from edgekd.report.document.data import Data, DomainShift, TokenShift
from edgekd.report.document.parts import NO_REASON

MANY_CLASSES = 24
"""More classes than this are folded away, with their extremes in the line above."""
TOKENS = columns("", "Training texts|Calibration texts")
SHIFT = columns("", "Shift of the mean|Ratio of the standard deviations")


def section(document: Document) -> Section | None:
    """Splits, classes, calibration coverage and domain shift."""
    data = document.data
    terms = (
        ("reader", recorded(units.fact(data.reader) if data.reader else None)),
        ("licence", recorded(data.licence, absent="not stated in the recipe")),
        ("sha256", recorded(data.sha256, code=True)),
        *(
            (f"{split} {data.counted}", Cell(units.integer(sum(counts.values()))))
            for split, counts in data.counts.items()
        ),
        *facts(data.extras()),
    )
    blocks = (Terms(terms), Heading("Calibration"), *_calibration(data), *_coverage(data))
    return Section("data", "Data and calibration", blocks)


def _unit(data: Data) -> str:
    return f"{data.kind}s"


def _calibration(data: Data) -> list[Block]:
    calibration = data.calibration
    if calibration is None:
        return [Paragraph("The run has no calibration set.", "muted")]
    terms = (
        (_unit(data), Cell(units.integer(calibration.samples))),
        ("source", recorded(calibration.source)),
        ("sha256", recorded(calibration.sha256, code=True)),
        ("removed, as also in the test split", number(calibration.overlap_removed, units.integer, NO_REASON)),
        *facts(calibration.extras()),
    )
    return [Terms(terms), _shift(calibration.domain_shift, _unit(data))]


def _shift(shift: DomainShift | TokenShift | None, unit: str) -> Block:
    if shift is None:
        return Paragraph(f"Domain shift against the training {unit}: not measured: the run gave no figures.", "muted")
    if isinstance(shift, TokenShift):
        return _token_shift(shift)
    pairs = zip(shift.channel_mean_shift, shift.channel_std_ratio, strict=False)
    rows = (
        (Cell(f"channel {index}"), Cell(units.signed(mean, 3)), Cell(units.significant(std)))
        for index, (mean, std) in enumerate(pairs)
    )
    foot = "In standard deviations of the training images; 0 and 1 mean that calibration looks like training."
    return table("Domain shift of calibration against training", SHIFT, rows, foot=foot)


def _token_shift(shift: TokenShift) -> Block:
    known = "the tokenizer has no unknown token"
    unknown = [number(value, units.share, known) for value in (shift.train_unknown_share, shift.unknown_share)]
    rows = (
        (
            Cell("median length, tokens"),
            *(Cell(units.plain(v)) for v in (shift.train_median_length, shift.median_length)),
        ),
        (Cell("outside the tokenizer's vocabulary"), *unknown),
        (
            Cell("outside the training texts"),
            Cell("by definition none", tone="muted"),
            Cell(units.share(shift.unseen_share)),
        ),
    )
    return table("Domain shift of calibration against training", TOKENS, rows)


def _coverage(data: Data) -> list[Block]:
    splits = list(data.counts)
    heads = (Column("Class", False), *(Column(split.capitalize()) for split in splits), Column("Calibration"))
    found = table(
        f"{data.counted.capitalize()} per class", heads, (_class(data, name, splits) for name in data.classes)
    )
    block = Details(found.caption, (found,)) if len(data.classes) > MANY_CLASSES else found
    return [Heading("Classes"), Paragraph(_coverage_sentence(data)), block]


def _class(data: Data, name: str, splits: list[str]) -> Row:
    counts = [Cell(units.integer(data.counts[split].get(name, 0))) for split in splits]
    if data.calibration is None:
        last = missing("the run has no calibration set")
    elif data.calibration.coverage is None:
        last = missing(f"the calibration {_unit(data)} have no labels")
    else:
        found = data.calibration.coverage.get(name, 0)
        last = Cell(units.integer(found), tone="" if found else "bad")
    return Cell(name), *counts, last


def _coverage_sentence(data: Data) -> str:
    total, coverage = len(data.classes), data.calibration.coverage if data.calibration else None
    if coverage is None:
        return f"{total} classes."
    found = [coverage.get(name, 0) for name in data.classes]
    covered = sum(number > 0 for number in found)
    reach = f"{min(found)} to {max(found)}" if min(found) != max(found) else str(min(found))
    spread = f"{reach} {data.counted} each"
    if covered == total:
        return f"Calibration covers all {total} classes, {spread}."
    return f"Calibration covers {covered} of {total} classes: {total - covered} have no calibration {data.kind}."
