"""What the stages warned about."""

from __future__ import annotations

from edgekd.report.blocks import Bullets, Section
from edgekd.report.document import Document


def section(document: Document) -> Section | None:
    """Every warning of the run, the data and the calibration set, each once; None when there was none."""
    found = document.all_warnings()
    return Section("warnings", "Warnings", (Bullets(tuple(found), "warn"),)) if found else None
