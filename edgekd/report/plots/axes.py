"""The frame that every figure shares: grid, tick labels and axis titles."""

from __future__ import annotations

from dataclasses import dataclass

from edgekd.report.plots.canvas import Canvas
from edgekd.report.plots.scale import Scale


@dataclass(frozen=True)
class Frame:
    """Where the data is drawn, in pixels."""

    left: float
    right: float
    top: float
    bottom: float


def draw(canvas: Canvas, frame: Frame, x: Scale, y: Scale, *, x_title: str, y_title: str) -> None:
    """Horizontal grid lines, tick labels on both axes, the y title above the axis and the x title below it."""
    for value in y.ticks:
        at = y(value)
        canvas.line(frame.left, at, frame.right, at, "grid")
        canvas.text(frame.left - 8, at + 4, y.label(value), "tick", "end")
    canvas.line(frame.left, frame.bottom, frame.right, frame.bottom, "axis")
    for value in x.ticks:
        at = x(value)
        canvas.line(at, frame.bottom, at, frame.bottom + 4, "axis")
        canvas.text(at, frame.bottom + 18, x.label(value), "tick", "middle")
    canvas.text(frame.left, frame.top - 14, y_title, "title")
    canvas.text(frame.right, frame.bottom + 36, x_title, "title", "end")
