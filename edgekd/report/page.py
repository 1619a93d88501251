"""The report's table of contents: from the document to the blocks that every rendering writes."""

from __future__ import annotations

from edgekd.report.blocks import Page
from edgekd.report.document import Document
from edgekd.report.headline import findings, headline, verdict
from edgekd.report.sections import (
    accuracy_latency,
    comparison,
    data,
    environment,
    gates,
    recipe,
    targets,
    temperatures,
    training,
    warnings,
)

ORDER = (gates, warnings, comparison, accuracy_latency, targets, training, temperatures, data, environment, recipe)


def build(document: Document) -> Page:
    """The whole report in blocks; a section with nothing to say is left out."""
    sections = (module.section(document) for module in ORDER)
    return Page(
        title=document.name,
        headline=headline(document),
        verdict=verdict(document),
        findings=findings(document),
        sections=tuple(section for section in sections if section is not None),
    )
