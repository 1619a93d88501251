"""What a clipping range costs: the expected squared error of rounding and clipping, on a histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.compress.histogram import Histogram


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
