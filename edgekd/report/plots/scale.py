"""Axes: from values to pixels, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LOG_SPAN = 6.0
"""Positive values that span more than this factor are drawn on a logarithmic axis."""


class Scale(NamedTuple):
    """A linear or logarithmic axis from value `low` at pixel `start` to `high` at `end`, with the values it marks."""

    low: float
    high: float
    start: float
    end: float
    log: bool
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        found = (self.low, self.high, value)
        low, high, at = map(math.log, found) if self.log else found
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def label(self, value: float) -> str:
        """A tick's text: as many decimals as the ticks' spacing needs."""
        if self.log:
            return f"{value:g}"
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else abs(value) or 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{value:.{decimals}f}"


def fit(
    values: Sequence[float],
    start: float,
    end: float,
    *,
    ticks: int = 5,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    log: bool | None = None,
) -> Scale:
    """A scale that holds all values with a little air, between the bounds, ending on ticks where it is linear.

    Args:
        values: at least one.
        start: pixel of the low end.
        end: pixel of the high end.
        ticks: about how many.
        bounds: values that cannot be left, such as 0 and 100 for a percentage.
        log: None: logarithmic when all values are positive and span more than a factor of 6.
    """
    low, high = min(values), max(values)
    use_log = log if log is not None else low > 0 and high / low > LOG_SPAN
    if use_log:
        low, high = low / 1.3, high * 1.3
        return Scale(low, high, start, end, True, _log_ticks(low, high, ticks))
    pad = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
    low, high = low - pad, high + pad
    step = _round_step((high - low) / ticks)
    low = max(bounds[0], math.floor(low / step + 1e-9) * step)
    high = min(bounds[1], math.ceil(high / step - 1e-9) * step)
    first = math.ceil(low / step - 1e-9)
    marks = tuple(n * step for n in range(first, math.floor(high / step + 1e-9) + 1))
    return Scale(low, high, start, end, False, marks)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= raw * 0.999)


def _log_ticks(low: float, high: float, ticks: int) -> tuple[float, ...]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        marks = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = tuple(mark for mark in marks if low <= mark <= high)
        if len(inside) <= ticks + 2:
            return inside
    stride = math.ceil(len(inside) / (ticks + 2))
    return inside[::stride]
