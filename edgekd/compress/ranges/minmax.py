"""Smallest and largest value seen: nothing is cut off."""

from __future__ import annotations

from edgekd.compress.histogram import Histogram
from edgekd.compress.ranges_family import Ranges


class MinMax(Ranges):
    """Exact, and at the mercy of a single outlier."""

    def clip(self, histogram: Histogram, symmetric: bool) -> tuple[float, float]:
        """`(minimum, maximum)`."""
        return histogram.minimum, histogram.maximum
