"""The contract of a range estimator, and where its methods are found."""

from __future__ import annotations

from abc import abstractmethod

from edgekd.compress.histogram import Histogram
from edgekd.family import Family, Method


class Ranges(Method):
    """Chooses where an activation is clipped: narrower steps against values that are cut off."""

    def choose(self, histogram: Histogram, *, symmetric: bool = False) -> tuple[float, float]:
        """`(low, high)` with `minimum <= low <= 0 <= high <= maximum` (0 where the values do not reach across it).

        Args:
            histogram: the values seen in calibration, at least one.
            symmetric: the grid is INT8 around zero, not UINT8 over the range.
        """
        low, high = self.clip(histogram, symmetric)
        return min(max(low, histogram.minimum), 0.0), max(min(high, histogram.maximum), 0.0)

    @abstractmethod
    def clip(self, histogram: Histogram, symmetric: bool) -> tuple[float, float]:
        """The method's choice, before it is limited to the values seen."""


RANGES = Family("edgekd.compress.ranges", Ranges)
