"""Cuts off the same share of the values on either side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekd.compress.histogram import BINS, Histogram
from edgekd.compress.ranges_family import Ranges


class Percentile(Ranges):
    """Quantiles of the histogram, linear inside a bin.

    Attributes:
        percent: share of the values at or below the upper bound, and at or above the lower one.
    """

    percent: float = Field(default=99.99, gt=50, le=100)

    def clip(self, histogram: Histogram, symmetric: bool) -> tuple[float, float]:
        """The two quantiles, `100 - percent` and `percent`."""
        share = self.percent / 100
        return quantile(histogram, 1 - share), quantile(histogram, share)


def quantile(histogram: Histogram, share: float) -> float:
    """The value below which a share of the histogram lies."""
    reached: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(histogram.counts, dtype=np.float64)])  # (BINS + 1,)
    wanted = share * reached[-1]
    # The bin whose cumulated counts first reach the wanted one; the first and last filled bins bound it.
    filled = np.flatnonzero(histogram.counts)
    first_to_reach = int(np.count_nonzero(reached < wanted)) - 1
    index = min(max(first_to_reach, int(filled[0])), int(filled[-1]))
    inside = (wanted - reached[index]) / histogram.counts[index] if histogram.counts[index] else 0.0
    return float((index - BINS // 2 + inside) * histogram.width)
