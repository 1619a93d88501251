"""A drawing in SVG: escaped text, two decimals, classes instead of colours; the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from edgekd.report.plots.scale import Scale

FONT_SIZE = 12.0
LETTER_WIDTH = 0.56
"""Mean advance of a letter over the font size, measured on common sans-serif fonts; for placing labels only."""


class Frame(NamedTuple):
    """Where the data is drawn, in pixels."""

    left: float
    right: float
    top: float
    bottom: float


def text_width(text: str) -> float:
    """About how wide a text will be, in pixels."""
    return len(text) * FONT_SIZE * LETTER_WIDTH


class Canvas:
    """Collects shapes; `svg()` closes the drawing."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line."""
        self._parts.append(f'<line class="{css}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>')

    def polyline(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """A curve through points."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self._parts.append(f'<polyline class="{css}" points="{path}"/>')

    def circle(self, x: float, y: float, radius: float, css: str, title: str) -> None:
        """A disc or ring; `title` shows when the pointer rests on it."""
        place = f'cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}"'
        self._parts.append(f'<circle class="{css}" {place}><title>{escape(title)}</title></circle>')

    def square(self, x: float, y: float, half: float, css: str, title: str) -> None:
        """A square around a point."""
        place = f'x="{x - half:.2f}" y="{y - half:.2f}" width="{2 * half:.2f}" height="{2 * half:.2f}"'
        self._parts.append(f'<rect class="{css}" {place}><title>{escape(title)}</title></rect>')

    def text(self, x: float, y: float, text: str, css: str, anchor: str = "start") -> None:
        """Text with its baseline at `y`; `anchor`: its `start`, `middle` or `end` is at `x`."""
        self._parts.append(f'<text class="{css}" x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{escape(text)}</text>')

    def axes(self, frame: Frame, x: Scale, y: Scale, x_title: str, y_title: str) -> None:
        """Horizontal grid lines, tick labels on both axes, the y title above the axis and the x title below it."""
        for value in y.ticks:
            self.line(frame.left, y(value), frame.right, y(value), "grid")
            self.text(frame.left - 8, y(value) + 4, y.label(value), "tick", "end")
        self.line(frame.left, frame.bottom, frame.right, frame.bottom, "axis")
        for value in x.ticks:
            self.line(x(value), frame.bottom, x(value), frame.bottom + 4, "axis")
            self.text(x(value), frame.bottom + 18, x.label(value), "tick", "middle")
        self.text(frame.left, frame.top - 14, y_title, "title")
        self.text(frame.right, frame.bottom + 36, x_title, "title", "end")

    def svg(self, title: str, css: str) -> str:
        """The drawing as one `<svg>` element, named `title` for those who cannot see it."""
        return (
            f'<svg class="{css}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}" '
            f'font-size="{FONT_SIZE:g}">{"".join(self._parts)}</svg>'
        )
