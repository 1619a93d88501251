"""How soft the teacher's labels are at each temperature, and how to choose one."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from edgekd.report import units
from edgekd.report.blocks import Cell, Column, Group, Paragraph, Section, Table, missing
from edgekd.report.document import Document, Temperature

COLUMNS = (
    Column("Temperature", numeric=False),
    Column("Entropy, bits"),
    Column("Of the maximum"),
    Column("Probability of the first choice"),
)
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
    used = recipe_temperatures(document.recipe)
    most = document.temperature_max_entropy_bits
    rows = tuple(_row(item, most, used) for item in document.temperatures)
    bound = f" The maximum here is {units.significant(most)} bits, all classes alike." if most else ""
    table = Table("Soft labels of the teacher", COLUMNS, (Group(rows),))
    return Section("temperature", "Temperature", (Paragraph(HOW + bound), table))


def _row(item: Temperature, most: float | None, used: set[float]) -> tuple[Cell, ...]:
    note = "used by this recipe" if item.temperature in used else ""
    relative = (
        missing("the number of classes is not given") if not most else Cell(units.share(item.entropy_bits / most))
    )
    return (
        Cell(units.plain(item.temperature), note=note),
        Cell(units.significant(item.entropy_bits)),
        relative,
        Cell(units.percent(item.top1_probability)),
    )


def recipe_temperatures(recipe: Mapping[str, JsonValue]) -> set[float]:
    """The temperatures that the recipe's losses name."""
    distill = recipe.get("distill")
    losses = distill.get("losses") if isinstance(distill, dict) else None
    found: set[float] = set()
    for loss in losses if isinstance(losses, list) else []:
        for options in [*loss.values()] if isinstance(loss, dict) else []:
            value = options.get("temperature") if isinstance(options, dict) else None
            if isinstance(value, int | float):
                found.add(float(value))
    return found
