"""The plain way to fill a histogram: all values at once, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgekd.compress.histogram import BINS, Histogram


def add(histogram: Histogram, values: NDArray[Any]) -> None:
    """Takes in finite float32 values of any shape."""
    if values.size:
        radius = histogram.reserve(float(values.min()), float(values.max()))
        scale = BINS / (2 * radius) if radius else 1.0
        bins = np.floor(values.astype(np.float64).ravel() * scale).astype(np.int64) + BINS // 2
        histogram.counts += np.bincount(bins, minlength=BINS)


def histogram_of(values: ArrayLike) -> Histogram:
    """The histogram of float32 values."""
    histogram = Histogram()
    add(histogram, np.asarray(values, np.float32))
    return histogram
