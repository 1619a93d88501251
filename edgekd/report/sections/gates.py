"""Gate results, failures first."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Details, Paragraph, Row, Section, columns, table
from edgekd.report.cells import missing
from edgekd.report.document import Document, Gate

RESULTS: dict[bool | None, Cell] = {
    False: Cell("failed", tone="bad"),
    None: Cell("not decided", tone="warn"),
    True: Cell("passed", tone="good"),
}
FLOORS = ("agreement", "x")
"""Units of which more is better; of all others, less is."""
COLUMNS = columns("Gate|Result|File", "Measured|Limit")


def section(document: Document) -> Section | None:
    """One row per gate: failed, then undecided; those that passed are folded away."""
    if not document.gates:
        text = "The recipe sets no gates, so nothing in this report was held against a limit."
        return Section("gates", "Gates", (Paragraph(text),))
    passed = [_row(gate) for gate in document.gates if gate.passed]
    others = sorted((gate for gate in document.gates if not gate.passed), key=lambda gate: gate.passed is None)
    blocks: list[Block] = []
    if others:
        caption = "Limits that were breached or could not be decided"
        blocks.append(table(caption, COLUMNS, map(_row, others), cards=True))
    if passed:
        kept = table("Limits that were kept", COLUMNS, passed, cards=True)
        blocks.append(Details(f"{len(passed)} gates passed", (kept,)))
    return Section("gates", "Gates", tuple(blocks))


def _row(gate: Gate) -> Row:
    side = "at least" if gate.unit in FLOORS else "at most"
    limit = Cell("none", tone="muted")
    if gate.limit is not None:
        limit = Cell(f"{side} {units.quantity(gate.limit, gate.unit)}")
    result = RESULTS[gate.passed]
    if gate.value is None:
        value = missing(gate.reason or "not measured")
    else:
        value, result = Cell(units.quantity(gate.value, gate.unit)), result._replace(note=gate.reason or "")
    return Cell(units.name(gate.gate)), result, Cell(gate.where, code=True), value, limit
