"""Least mean squared error between the values and their quantized ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekd.compress.histogram import Histogram
from edgekd.compress.ranges_family import Ranges

# Alternating minimisation over the two bounds settles within three rounds; ten is a bound, not a cost.
ROUNDS = 10


class MeanSquaredError(Ranges):
    """Minimises `E[(x - q(x))^2]` over clipping bounds (Banner et al. 2019, section 3, with the measured distribution).

    Candidates are shares of the largest and smallest value; a tensor with both signs on a UINT8 grid is searched one
    bound at a time, until neither moves.

    Attributes:
        candidates: bounds tried per side.
    """

    candidates: int = Field(default=100, ge=2)

    def clip(self, histogram: Histogram, symmetric: bool) -> tuple[float, float]:
        """The bounds with the least error."""
        values, weights = filled_bins(histogram)
        shares = np.arange(self.candidates, 0, -1) / self.candidates  # widest first: ties keep the wider range
        lowest, highest = min(histogram.minimum, 0.0), max(histogram.maximum, 0.0)
        if symmetric:
            bounds = shares * max(-lowest, highest)
            best = float(bounds[np.argmin(squared_error(values, weights, -bounds, bounds, symmetric=True))])
            return -best, best
        low, high = lowest, highest
        for _ in range(ROUNDS):
            before = (low, high)
            if highest > 0:
                uppers = shares * highest
                high = float(uppers[np.argmin(squared_error(values, weights, np.full_like(uppers, low), uppers))])
            if lowest < 0:
                lowers = shares * lowest
                low = float(lowers[np.argmin(squared_error(values, weights, lowers, np.full_like(lowers, high)))])
            if (low, high) == before:
                break
        return low, high


def filled_bins(histogram: Histogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles of the bins that hold values `(F,)`, and the share of the values in each `(F,)`."""
    filled = np.flatnonzero(histogram.counts)
    return histogram.centres()[filled], histogram.counts[filled] / histogram.counts.sum()


def squared_error(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    lows: NDArray[np.float64],
    highs: NDArray[np.float64],
    *,
    symmetric: bool = False,
) -> NDArray[np.float64]:
    """Expected squared error `(K,)` of K ranges `lows`, `highs` on values `(F,)` with shares `weights` `(F,)`.

    The zero point is left unrounded: it moves the whole grid by less than half a step, for every candidate alike.
    """
    errors = np.zeros(len(lows))
    for index, (low, high) in enumerate(zip(lows, highs, strict=True)):
        steps = 254 if symmetric else 255
        step = (high - low) / steps
        if step <= 0:
            rounded = np.zeros_like(values)
        else:
            start = -np.rint(-low / step)
            rounded = np.clip(np.rint(values / step), start, start + steps) * step
        errors[index] = weights @ np.square(values - rounded)
    return errors
