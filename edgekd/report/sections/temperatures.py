"""How soft the teacher's labels are at each temperature, and how to choose one."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from edgekd.report import units
from edgekd.report.blocks import Cell, Paragraph, Row, Section, columns, table
from edgekd.report.cells import missing
from edgekd.report.document import Document
from edgekd.report.document.networks import Temperature

COLUMNS = columns("Temperature", "Entropy, bits|Of the maximum|Probability of the first choice")
HOW = (
    "Entropy is how much a soft label says beyond the class itself. Near 0 bits the teacher's second choices do not "
    "show, and distilling is little more than training on hard labels: raise the temperature. Near the maximum all "
    "classes look alike, and what tells them apart drowns: lower it. Take the lowest temperature at which the first "
    "choice still leads clearly and the entropy is well away from both ends, then compare two neighbours by "
    "validation accuracy; the table does not replace that."
)


def section(document: Document) -> Section | None:
    """The table with the recipe's own temperature marked; None without a teacher to ask."""
    if not document.temperatures:
        return None
    used, most = recipe_temperatures(document.recipe), document.temperature_max_entropy_bits
    bound = f" The maximum here is {units.significant(most)} bits, all classes alike." if most else ""
    rows = (_row(item, most, used) for item in document.temperatures)
    blocks = (Paragraph(HOW + bound), table("Soft labels of the teacher", COLUMNS, rows))
    return Section("temperature", "Temperature", blocks)


def _row(item: Temperature, most: float | None, used: set[float]) -> Row:
    return (
        Cell(units.plain(item.temperature), note="used by this recipe" if item.temperature in used else ""),
        Cell(units.significant(item.entropy_bits)),
        Cell(units.share(item.entropy_bits / most)) if most else missing("the number of classes is not given"),
        Cell(units.percent(item.top1_probability)),
    )


def recipe_temperatures(recipe: Mapping[str, JsonValue]) -> set[float]:
    """The temperatures that the recipe's losses name; of a ramp, both ends."""
    distill = recipe.get("distill")
    losses = distill.get("losses") if isinstance(distill, dict) else None
    named = [loss for loss in losses if isinstance(loss, dict)] if isinstance(losses, list) else []
    options = [found for loss in named for found in loss.values() if isinstance(found, dict)]
    given = [found.get("temperature") for found in options]
    values = [
        end for value in given for end in ([value.get("from"), value.get("to")] if isinstance(value, dict) else [value])
    ]
    return {float(value) for value in values if isinstance(value, int | float)}
