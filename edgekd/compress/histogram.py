"""A histogram that takes in any number of values in constant memory.

`BINS` equal bins cover `[-R, R)`, with R a power of two above every |x| seen. When a value does not fit, R doubles and
neighbouring bins are merged in pairs. Both are exact: x * (BINS / 2R) is a multiplication by a power of two, so the bin
of a value never depends on rounding, on the order of the values or on how they were split into batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# R is at most twice the largest |x|, so a one-sided tensor has at least 2048 bins: 8 for each of 256 levels.
BINS = 8192


@dataclass
class Histogram:
    """Distribution of one tensor's values.

    Attributes:
        counts: `(BINS,)` int64; bin i covers `[-radius + i w, -radius + (i + 1) w)`, `w = 2 radius / BINS`.
        radius: R; 0 as long as every value was 0 (all are then in the bin that begins at 0).
        minimum: smallest value, exact.
        maximum: largest value, exact.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    radius: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @property
    def width(self) -> float:
        """Width of a bin."""
        return 2 * self.radius / BINS

    def centres(self) -> NDArray[np.float64]:
        """Middle of every bin, `(BINS,)`."""
        return (np.arange(BINS, dtype=np.float64) - BINS // 2 + 0.5) * self.width

    def reserve(self, minimum: float, maximum: float) -> float:
        """Makes room for values between two finite bounds and returns the radius."""
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        needed = radius_for(max(abs(minimum), abs(maximum)))
        if self.radius == 0.0:
            self.radius = needed
        while self.radius < needed:
            self.counts = merge_pairs(self.counts)
            self.radius *= 2
        return self.radius


def radius_for(magnitude: float) -> float:
    """The smallest power of two above a magnitude; 0 for 0."""
    return math.ldexp(1.0, math.frexp(magnitude)[1]) if magnitude > 0 else 0.0


def merge_pairs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same counts with bins twice as wide: they fill the middle half."""
    merged = np.zeros_like(counts)
    merged[BINS // 4 : 3 * BINS // 4] = counts.reshape(-1, 2).sum(axis=1)
    return merged
