"""Least mean squared error between the values and their quantized ones."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from edgekd.compress.histogram import Histogram
from edgekd.compress.ranges_family import Ranges
from edgekd.compress.squared_error import filled_bins, squared_error

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
