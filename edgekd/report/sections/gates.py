"""Gate results, failures first."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Column, Details, Group, Paragraph, Section, Table, missing
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
    """One row per gate: failed, then undecided; those that passed are folded away."""
    if not document.gates:
        text = "The recipe sets no gates, so nothing in this report was held against a limit."
        return Section("gates", "Gates", (Paragraph(text),))
    passed = [gate for gate in document.gates if gate.passed]
    open_ones = sorted((gate for gate in document.gates if not gate.passed), key=lambda gate: gate.passed is None)
    blocks: list[Block] = []
    if open_ones:
        blocks.append(_table("Limits that were breached or could not be decided", open_ones))
    if passed:
        blocks.append(Details(f"{len(passed)} gates passed", (_table("Limits that were kept", passed),)))
    return Section("gates", "Gates", tuple(blocks))


def _table(caption: str, gates: list[Gate]) -> Table:
    return Table(caption, COLUMNS, (Group(tuple(_row(gate) for gate in gates)),), cards=True)


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
