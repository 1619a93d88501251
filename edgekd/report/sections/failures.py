"""Files that could not be made or run, each with its reason."""

from __future__ import annotations

from edgekd.errors import one_line
from edgekd.report.blocks import Cell, Section, columns, table
from edgekd.report.document import Document

COLUMNS = columns("File|Runtime|Reason")


def section(document: Document) -> Section | None:
    """One row per failed file; None where there is none."""
    rows = [
        (Cell(artifact.path, code=True), Cell(artifact.runtime), Cell(one_line(artifact.failed), tone="bad"))
        for artifact in document.artifacts
        if artifact.failed
    ]
    if not rows:
        return None
    caption = "Files that could not be made, or that their runtime could not run"
    return Section("failures", "Failed files", (table(caption, COLUMNS, rows, cards=True),))
