"""The machine and the versions."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Details, Paragraph, Section, Terms, columns, table
from edgekd.report.cells import facts, recorded
from edgekd.report.document import Document

FEW = 12
"""More instruction sets than this are folded away: Linux lists more than a hundred flags of an x86 processor."""


def section(document: Document) -> Section | None:
    """What the run was made with, so that its numbers can be made again."""
    environment = document.environment
    memory, cores, sets = environment.memory_bytes, environment.cores, environment.instruction_sets
    folded = len(sets) > FEW
    terms = (
        ("processor", recorded(environment.cpu)),
        ("cores", recorded(None if cores is None else units.integer(cores))),
        ("memory", recorded(None if memory is None else units.size(memory))),
        *(() if folded else (("instruction sets", recorded(", ".join(sets))),)),
        ("system", recorded(environment.os)),
        ("Python", recorded(environment.python)),
        ("machine id", recorded(environment.machine_id, code=True)),
        *facts(environment.extras()),
    )
    blocks: list[Block] = [Terms(terms)]
    if folded:
        blocks.append(Details(f"{len(sets)} instruction sets", (Paragraph(" ".join(sorted(sets)), "muted"),)))
    versions = environment.versions
    if versions:
        rows = ((Cell(name), recorded(found, code=True, absent="not installed")) for name, found in versions.items())
        listed = table("Versions", columns("Package|Version"), rows)
        blocks.append(Details(f"Versions of {len(versions)} packages", (listed,)))
    return Section("environment", "Environment", tuple(blocks))
