"""What the stages warned about."""

from __future__ import annotations

from edgekd.report.blocks import Bullets, Section
from edgekd.report.compare import slower_than_float
from edgekd.report.document import Document


def section(document: Document) -> Section | None:
    """Every warning of the run, the data and the calibration set, each once; those among the findings stay there."""
    told = slower_than_float(document)
    found = [text for text in document.all_warnings() if text not in told]
    return Section("warnings", "Warnings", (Bullets(tuple(found), "warn"),)) if found else None
