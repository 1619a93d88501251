"""How the files of one target were verified: accuracy against their torch model, and parity of the logits."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Cell, Column, Group, Table, missing
from edgekd.report.document import Accuracy, Document, Exported, Parity
from edgekd.report.tables import cells

COLUMNS = (
    Column("", numeric=False),
    Column("Arithmetic", numeric=False),
    Column("Accuracy"),
    Column("Change, points"),
    Column("Largest error"),
    Column("Mean error"),
    Column("Relative error"),
    Column("Same answer"),
    Column("Samples"),
)
FOOTNOTE = (
    "Change is the file's accuracy minus that of its torch model. Errors are differences between the file's logits and "
    "the torch model's, the relative one over the largest logit; same answer is the share of samples with the same "
    "first choice."
)


def table(document: Document, target: str, files: list[Exported]) -> Table:
    """One row per file."""
    rows = tuple(_row(document, artifact) for artifact in files)
    return Table(f"{target}: verification", COLUMNS, (Group(rows),), cards=True, footnote=FOOTNOTE)


def _row(document: Document, artifact: Exported) -> tuple[Cell, ...]:
    reason = artifact.reason("accuracy")
    return (
        cells.file(artifact),
        missing(reason) if artifact.accuracy is None else _arithmetic(artifact.accuracy),
        cells.accuracy(artifact.accuracy, reason),
        _change(document, artifact),
        *_parity(artifact.parity, artifact.reason("parity")),
    )


def _arithmetic(accuracy: Accuracy) -> Cell:
    return Cell(accuracy.arithmetic or "not recorded", note=f"in {accuracy.runtime}" if accuracy.runtime else "")


def _change(document: Document, artifact: Exported) -> Cell:
    network = document.network(artifact.model)
    if artifact.accuracy is None:
        return missing(artifact.reason("accuracy"))
    if network is None or network.accuracy is None:
        return missing(f"the accuracy of the {artifact.model} in torch was not measured")
    return Cell(units.points(artifact.accuracy.value - network.accuracy.value, artifact.accuracy.samples))


def _parity(parity: Parity | None, reason: str) -> list[Cell]:
    if parity is None:
        return [missing(reason)] * 5
    errors = (parity.max_abs_error, parity.mean_abs_error, parity.relative_max_error)
    return [
        *(cells.number(value, units.error, reason) for value in errors),
        cells.number(parity.top1_agreement, lambda value: units.percent(value, parity.samples), reason),
        Cell(units.integer(parity.samples)),
    ]
