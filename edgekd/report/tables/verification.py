"""How the files of one target were verified: accuracy against their torch model, and parity of the logits."""

from __future__ import annotations

from edgekd.report import cells, units
from edgekd.report.blocks import Cell, Row, Table, columns, table
from edgekd.report.cells import missing
from edgekd.report.document import Document
from edgekd.report.document.artifacts import Exported, Parity

COLUMNS = columns("|Arithmetic", "Accuracy|Change, points|Largest error|Mean error|Relative error|Same answer|Samples")
FOOTNOTE = (
    "Change is the file's accuracy minus that of its torch model. Errors are differences between the file's logits and "
    "the torch model's, the relative one over the largest logit; same answer is the share of samples with the same "
    "first choice."
)


def blocks(document: Document, target: str, files: list[Exported]) -> Table:
    """One row per file."""
    rows = (_row(document, artifact) for artifact in files)
    return table(f"{target}: verification", COLUMNS, rows, cards=True, foot=FOOTNOTE)


def _row(document: Document, artifact: Exported) -> Row:
    reason, found, network = artifact.reason("accuracy"), artifact.accuracy, document.network(artifact.model)
    if found is None:
        arithmetic = change = missing(reason)
    else:
        arithmetic = Cell(found.arithmetic or "not recorded", note=f"in {found.runtime}" if found.runtime else "")
        change = missing(f"the accuracy of the {artifact.model} in torch was not measured")
        if network and network.accuracy:
            change = Cell(units.points(found.value - network.accuracy.value, found.samples))
    parity = _parity(artifact.parity, artifact.reason("parity"))
    return cells.file(artifact), arithmetic, cells.accuracy(found, reason), change, *parity


def _parity(parity: Parity | None, reason: str) -> list[Cell]:
    if parity is None:
        return [missing(reason)] * 5
    errors = (parity.max_abs_error, parity.mean_abs_error, parity.relative_max_error)
    return [
        *(cells.number(value, units.error, reason) for value in errors),
        cells.number(parity.top1_agreement, lambda value: units.percent(value, parity.samples), reason),
        Cell(units.integer(parity.samples)),
    ]
