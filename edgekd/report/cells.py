"""Cells that several tables share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from edgekd.report import units
from edgekd.report.blocks import Cell
from edgekd.report.document.artifacts import Exported
from edgekd.report.document.networks import Accuracy
from edgekd.report.intervals import wilson


def missing(reason: str) -> Cell:
    """The cell of a value that was not measured."""
    return Cell(reason, missing=True, tone="muted")


def number(value: float | None, write: Callable[[float], str], reason: str) -> Cell:
    """A measured value in its unit, or why there is none."""
    return missing(reason) if value is None else Cell(write(value))


def accuracy(value: Accuracy | None, reason: str) -> Cell:
    """An accuracy with its 95 % Wilson interval under it."""
    if value is None:
        return missing(reason)
    bounds = [units.percent(bound, value.samples, unit=False) for bound in wilson(value.value, value.samples)]
    split = "" if value.split == "test" else f" ({value.split} split)"
    return Cell(units.percent(value.value, value.samples) + split, note=units.TO.join(bounds))


def file(artifact: Exported) -> Cell:
    """The name of an exported file, its runtime under it."""
    return Cell(artifact.label, note=artifact.runtime)


def recorded(value: str | None, *, code: bool = False, absent: str = "not recorded") -> Cell:
    """A fact that is not a measurement, such as a version or a licence."""
    return Cell(value, code=code) if value else Cell(absent, tone="muted")


def facts(found: Mapping[str, JsonValue]) -> list[tuple[str, Cell]]:
    """Whatever else a stage told, in words."""
    return [(units.name(key), Cell(units.fact(value))) for key, value in found.items()]
