"""Curves over epochs: a legend with dash patterns, so that colour is never the only difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgekd.report.plots.canvas import Canvas, Frame, text_width
from edgekd.report.plots.scale import Scale, fit


class Curve(NamedTuple):
    """A named series of (epoch, value); at least one point."""

    name: str
    points: tuple[tuple[float, float], ...]
    series: int


def curves(
    lines: Sequence[Curve], size: tuple[int, int], bounds: tuple[float, float], *, y_title: str, title: str, css: str
) -> str:
    """The figure as SVG.

    Args:
        lines: at least one curve; a curve of one epoch is drawn as a dot.
        size: width and height in pixels.
        bounds: values that the y axis cannot leave.
        y_title: what is drawn, with its unit.
        title: the figure in words, for those who cannot see it.
        css: class of the drawing.
    """
    width, height = size
    canvas = Canvas(width, height)
    places = _legend([line.name for line in lines], width)
    frame = Frame(48, width - 12, 54 + places[-1][1], height - 44)
    epochs = [x for line in lines for x, _ in line.points]
    values = [y for line in lines for _, y in line.points]
    x = _epochs(min(epochs), max(epochs), frame, max(3, width // 60))
    y = fit(values, frame.bottom, frame.top, ticks=max(3, height // 55), bounds=bounds)
    canvas.axes(frame, x, y, "epoch", f"{y_title}, logarithmic" if y.log else y_title)
    for line, (left, down) in zip(lines, places, strict=True):
        canvas.line(left, 12 + down, left + 22, 12 + down, _css(line))
        canvas.text(left + 28, 16 + down, line.name, "label")
    for line in lines:
        at = [(x(epoch), y(value)) for epoch, value in line.points]
        if len(at) > 1:
            canvas.polyline(at, _css(line))
        canvas.circle(*at[-1], 3.5, f"mark full s{line.series % 6}", f"{line.name}: {line.points[-1][1]:.4g}")
    return canvas.svg(title, css)


def _css(line: Curve) -> str:
    """Six colours and four dash patterns: two series share both only when they are twelve apart."""
    return f"curve s{line.series % 6} d{line.series % 4}"


def _legend(names: Sequence[str], width: float) -> list[tuple[float, float]]:
    """Where each name goes: from the left, and down by as many rows as those before it filled."""
    places: list[tuple[float, float]] = []
    left, down = 48.0, 0.0
    for name in names:
        needed = 28 + text_width(name)
        if left > 48 and left + needed > width:
            left, down = 48.0, down + 18
        places.append((left, down))
        left += needed + 16
    return places


def _epochs(low: float, high: float, frame: Frame, ticks: int) -> Scale:
    if low == high:
        return Scale(low - 1, high + 1, frame.left, frame.right, False, (low,))
    step = next(size for size in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 10**6) if (high - low) / size <= ticks)
    first = -(-int(low) // step) * step
    return Scale(low, high, frame.left, frame.right, False, tuple(float(n) for n in range(first, int(high) + 1, step)))
