"""Gate results, failures first."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Cell, Column, Group, Paragraph, Section, Table, missing
from edgekd.report.document import Document, Gate

TITLES = {False: "failed", None: "not decided", True: "passed"}
FLOORS = ("agreement", "x")
"""Units of which more is better; of all others, less is."""
COLUMNS = (
    Column("Gate", numeric=False),
    Column("Result", numeric=False),
    Column("File", numeric=False),
    Column("Measured"),
    Column("Limit"),
)


def section(document: Document) -> Section | None:
    """One row per gate: failed, then undecided, then passed."""
    if not document.gates:
        text = "The recipe sets no gates, so nothing in this report was held against a limit."
        return Section("gates", "Gates", (Paragraph(text),))
    order = {False: 0, None: 1, True: 2}
    ranked = sorted(document.gates, key=lambda gate: order[gate.passed])
    rows = tuple(_row(gate) for gate in ranked)
    return Section(
        "gates", "Gates", (Table("Limits of the recipe, failures first", COLUMNS, (Group(rows),), cards=True),)
    )


def _row(gate: Gate) -> tuple[Cell, ...]:
    reason = gate.reason or "not measured"
    value = missing(reason) if gate.value is None else Cell(units.quantity(gate.value, gate.unit))
    side = "at least" if gate.unit in FLOORS else "at most"
    limit = (
        Cell("none", tone="muted") if gate.limit is None else Cell(f"{side} {units.quantity(gate.limit, gate.unit)}")
    )
    note = gate.reason or "" if gate.value is not None else ""
    tone = "good" if gate.passed else "warn" if gate.passed is None else "bad"
    result = Cell(TITLES[gate.passed], note=note, tone=tone)
    return Cell(units.name(gate.gate)), result, Cell(gate.where, code=True), value, limit
