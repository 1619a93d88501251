"""The machine and the versions."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Column, Details, Group, Paragraph, Section, Table, Terms
from edgekd.report.document import Document
from edgekd.report.tables.cells import unrecorded

FEW = 12
"""More instruction sets than this are folded away: Linux lists more than a hundred flags of an x86 processor."""


def section(document: Document) -> Section | None:
    """What the run was made with, so that its numbers can be made again."""
    environment = document.environment
    memory, cores, sets = environment.memory_bytes, environment.cores, environment.instruction_sets
    folded = len(sets) > FEW
    terms = (
        ("processor", unrecorded(environment.cpu)),
        ("cores", unrecorded(None if cores is None else units.integer(cores))),
        ("memory", unrecorded(None if memory is None else units.size(memory))),
        *(() if folded else (("instruction sets", unrecorded(", ".join(sets))),)),
        ("system", unrecorded(environment.os)),
        ("Python", unrecorded(environment.python)),
        ("machine id", unrecorded(environment.machine_id, code=True)),
        *((units.name(key), Cell(units.fact(value))) for key, value in environment.extras().items()),
    )
    blocks: list[Block] = [Terms(terms)]
    if folded:
        blocks.append(Details(f"{len(sets)} instruction sets", (Paragraph(" ".join(sorted(sets)), "muted"),)))
    versions = environment.versions
    rows = tuple(
        (Cell(package), Cell(version, code=True) if version else Cell("not installed", tone="muted"))
        for package, version in versions.items()
    )
    if rows:
        columns = (Column("Package", numeric=False), Column("Version", numeric=False))
        blocks.append(Details(f"Versions of {len(rows)} packages", (Table("Versions", columns, (Group(rows),)),)))
    return Section("environment", "Environment", tuple(blocks))
