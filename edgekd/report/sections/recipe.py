"""The recipe, to make the run again."""

from __future__ import annotations

from edgekd.report.blocks import Code, Details, Paragraph, Section
from edgekd.report.document import Document


def section(document: Document) -> Section | None:
    """The recipe in full, defaults included, as YAML."""
    import yaml

    text = yaml.safe_dump(document.recipe, sort_keys=False, allow_unicode=True, width=100)
    intro = (
        "Same recipe, data and versions give the same result on the same machine. Save it as recipe.yaml, then: "
        "edgekd run recipe.yaml"
    )
    return Section("recipe", "Recipe", (Paragraph(intro), Details("The recipe in full", (Code(text, "yaml"),))))
