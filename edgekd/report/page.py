"""The report's table of contents: from the document to the blocks that every rendering writes."""

from __future__ import annotations

import yaml

from edgekd.report.blocks import Bullets, Code, Details, Page, Paragraph, Section
from edgekd.report.compare import slower_than_float
from edgekd.report.document import Document
from edgekd.report.headline import findings, headline, verdict
from edgekd.report.recall import blind_spots
from edgekd.report.sections import (
    accuracy_latency,
    comparison,
    data,
    environment,
    failures,
    gates,
    quality,
    search,
    targets,
    temperatures,
    training,
)

MAIN = (comparison, accuracy_latency, quality, targets, training, search, temperatures, data, environment)


def build(document: Document) -> Page:
    """The whole report in blocks; a section with nothing to say is left out."""
    first = (failures.section(document), gates.section(document), _warnings(document))
    sections = (*first, *(module.section(document) for module in MAIN))
    return Page(
        document.name,
        headline(document),
        verdict(document),
        findings(document),
        (*(section for section in sections if section is not None), _recipe(document)),
    )


def _warnings(document: Document) -> Section | None:
    """Every warning of the run, the data and the calibration set, each once; those among the findings stay there."""
    told = [*slower_than_float(document), *blind_spots(document)]
    found = tuple(text for text in document.all_warnings() if text not in told)
    return Section("warnings", "Warnings", (Bullets(found, "warn"),)) if found else None


def _recipe(document: Document) -> Section:
    """The recipe in full as YAML, to make the run again."""
    text = yaml.safe_dump(document.recipe, sort_keys=False, allow_unicode=True, width=100)
    intro = (
        "Same recipe, data and versions give the same result on the same machine. Save it as recipe.yaml, then: "
        "edgekd run recipe.yaml"
    )
    return Section("recipe", "Recipe", (Paragraph(intro), Details("The recipe in full", (Code(text, "yaml"),))))
