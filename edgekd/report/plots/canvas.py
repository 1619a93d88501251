"""A drawing in SVG: escaped text, two decimals, classes instead of colours; the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

Anchor = Literal["start", "middle", "end"]
LETTER_WIDTH = 0.56
"""Mean advance of a letter over the font size, measured on common sans-serif fonts; for placing labels only."""


class Canvas:
    """Collects shapes; `svg()` closes the drawing."""

    def __init__(self, width: float, height: float, *, font_size: float = 12.0) -> None:
        self.width, self.height, self.font_size = width, height, font_size
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line."""
        self._parts.append(f'<line class="{css}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>')

    def polyline(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """A curve through points."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self._parts.append(f'<polyline class="{css}" points="{path}"/>')

    def circle(self, x: float, y: float, radius: float, css: str, title: str = "") -> None:
        """A disc or ring; `title` shows when the pointer rests on it."""
        self._parts.append(f'<circle class="{css}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}">{_title(title)}</circle>')

    def square(self, x: float, y: float, half: float, css: str, title: str = "") -> None:
        """A square around a point."""
        side = 2 * half
        self._parts.append(
            f'<rect class="{css}" x="{x - half:.2f}" y="{y - half:.2f}" width="{side:.2f}" height="{side:.2f}">'
            f"{_title(title)}</rect>"
        )

    def text(self, x: float, y: float, text: str, css: str, anchor: Anchor = "start", *, turned: bool = False) -> None:
        """Text with its baseline at `y`; `turned`: reading upwards."""
        turn = f' transform="rotate(-90 {x:.2f} {y:.2f})"' if turned else ""
        self._parts.append(
            f'<text class="{css}" x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'
        )

    def text_width(self, text: str) -> float:
        """About how wide a text will be, in pixels."""
        return len(text) * self.font_size * LETTER_WIDTH

    def svg(self, title: str, css: str) -> str:
        """The drawing as one `<svg>` element, named `title` for those who cannot see it."""
        return (
            f'<svg class="{css}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}" '
            f'font-size="{self.font_size:g}">{"".join(self._parts)}</svg>'
        )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
