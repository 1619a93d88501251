"""Accuracy against a cost: one mark per file or trial, a bar for its 95 % interval, labels beside the marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from edgekd.report.plots.canvas import FONT_SIZE, Canvas, Frame, text_width
from edgekd.report.plots.scale import fit

MARK = 5.0
SIDES = (0, 180)
"""Degrees: right and left of the mark, for adjacent labels only: a level leader line would cross other marks."""
ANGLES = (90, 270, 45, 315, 135, 225, 65, 295, 115, 245)
Box = tuple[float, float, float, float]
Point = tuple[float, float]


class Mark(NamedTuple):
    """One file, or one trial of a search.

    Attributes:
        cost: median latency in ms, or another cost; > 0.
        accuracy: top-1 accuracy in [0, 1], with its interval `low` to `high`.
        label: written beside the mark.
        filled: INT8, or a trial on the front; others are hollow.
        series: which colour, from 0; one per runtime.
        named: whether the label is written; otherwise it shows only when the pointer rests on the mark.
    """

    cost: float
    accuracy: float
    low: float
    high: float
    label: str
    filled: bool
    series: int
    named: bool = True


def scatter(
    marks: Sequence[Mark],
    width: int,
    height: int,
    title: str,
    css: str,
    *,
    axes: tuple[str, str] = ("median latency, ms", "test accuracy, %"),
    unit: str = "ms",
    front: Sequence[int] = (),
) -> str:
    """The figure as SVG; `marks` holds at least one. `front` are positions of marks that a line joins."""
    canvas = Canvas(width, height)
    frame = Frame(44, width - 14, 30, height - 44)
    costs = [mark.cost for mark in marks]
    x = fit(costs, frame.left + 10, frame.right - 10, ticks=max(3, width // 90), bounds=(0.0, math.inf))
    spread = [100 * value for mark in marks for value in (mark.low, mark.high)]
    y = fit(spread, frame.bottom, frame.top, ticks=max(3, height // 60), bounds=(0.0, 100.0), log=False)
    scale_note = ", logarithmic" if x.log else ""
    canvas.axes(frame, x, y, f"{axes[0]}{scale_note}", axes[1])
    centres = [(x(mark.cost), y(100 * mark.accuracy)) for mark in marks]
    bars = [(at, y(100 * mark.high), at, y(100 * mark.low)) for mark, (at, _) in zip(marks, centres, strict=True)]
    places = _places(frame, marks, centres, bars)
    if front:
        canvas.polyline([centres[index] for index in front], "curve s0 d2")
    for mark, bar in zip(marks, bars, strict=True):
        canvas.line(*bar, f"interval s{mark.series % 6}")
    for mark, centre, (box, far) in zip(marks, centres, places, strict=True):
        if far and mark.named:
            canvas.line(*centre, min(max(centre[0], box[0]), box[2]), min(max(centre[1], box[1]), box[3]), "leader")
    for mark, centre in zip(marks, centres, strict=True):
        draw, kind = (canvas.circle, "full") if mark.filled else (canvas.square, "hollow")
        text = f"{mark.label}: {mark.cost:.3g} {unit}, {100 * mark.accuracy:.2f} %"
        draw(*centre, MARK, f"mark {kind} s{mark.series % 6}", text)
    for mark, (box, _) in zip(marks, places, strict=True):
        if mark.named:
            canvas.text(box[0], box[3] - 3, mark.label, "label")
    return canvas.svg(title, css)


def _places(
    frame: Frame, marks: Sequence[Mark], centres: Sequence[Point], bars: Sequence[Box]
) -> list[tuple[Box, bool]]:
    """For each label the nearest place that is free of marks, bars and earlier labels; True: it needs a leader line."""
    taken = [(cx - MARK, cy - MARK, cx + MARK, cy + MARK) for cx, cy in centres]
    taken += [(at - 1, top, at + 1, bottom) for at, top, _, bottom in bars]
    found: dict[int, tuple[Box, bool]] = {}
    for index in sorted(range(len(marks)), key=lambda index: centres[index]):
        found[index] = _free_place(frame, marks[index].label if marks[index].named else "", centres[index], taken)
        taken.append(found[index][0])
    return [found[index] for index in range(len(marks))]


def _free_place(frame: Frame, label: str, centre: Point, taken: list[Box]) -> tuple[Box, bool]:
    """The first candidate that costs nothing, rings outwards; else the cheapest."""
    size = text_width(label), FONT_SIZE + 2
    tried: list[tuple[float, Box, bool]] = []
    for ring in range(1, 10):
        for angle in (*(SIDES if ring == 1 else ()), *ANGLES):
            box = _box(centre, size, math.radians(angle), MARK + 3 + (ring - 1) * 9)
            cost = sum(_overlap(box, other) for other in taken) + 50 * _outside(box, frame)
            if cost == 0:
                return box, ring > 1
            tried.append((cost, box, ring > 1))
    return min(tried, key=lambda place: place[0])[1:]


def _box(centre: Point, size: Point, angle: float, reach: float) -> Box:
    (cx, cy), (wide, tall) = centre, size
    dx, dy = math.cos(angle), math.sin(angle)
    middle_x = cx + dx * (reach + wide / 2)
    middle_y = cy - dy * (reach + tall / 2)
    return middle_x - wide / 2, middle_y - tall / 2, middle_x + wide / 2, middle_y + tall / 2


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, tall)


def _outside(box: Box, frame: Frame) -> float:
    return max(0.0, frame.left - box[0], box[2] - frame.right, frame.top - 8 - box[1], box[3] - frame.bottom)
