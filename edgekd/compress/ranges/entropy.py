"""Least loss of information: the range whose quantized distribution is nearest to the measured one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekd.compress.histogram import BINS, Histogram
from edgekd.compress.ranges_family import Ranges
from edgekd.compress.squared_error import filled_bins, squared_error

MIDDLE = BINS // 2


class Entropy(Ranges):
    """Calibration by Kullback-Leibler divergence (Migacz, "8-bit inference with TensorRT", GTC 2017).

    For every threshold t on |x|:

    1. P: the bins within `[-t, t]`, what lies outside added to the first and last of them.
    2. Q: the same bins without the outliers, merged into the grid's levels, each level's mass spread evenly over those
       of its bins that were filled.
    3. Choose the t with the least `KL(P || Q) = sum P log(P / Q)`.

    The talk has symmetric tensors and 128 levels of |x|. Here the bins are `[max(minimum, -t), min(maximum, t)]`, which
    is `[0, t]` after a ReLU and `[-t, t]` for a symmetric tensor, with the levels that the grid really has there. The
    bin at zero is given its neighbours' mean, as zero is on every grid: a ReLU's zeros cost nothing at any threshold.

    A constant background (digits on black, documents on white) is a spike elsewhere: nearly all of P, so that cutting
    off everything that matters costs hardly any divergence. A threshold whose squared error is `error_limit` times
    that of the full range is therefore passed over for the next best one.

    Attributes:
        candidates: thresholds tried.
        error_limit: largest squared error, relative to that of not clipping at all.
    """

    candidates: int = Field(default=400, ge=2)
    error_limit: float = Field(default=4.0, ge=1)

    def clip(self, histogram: Histogram, symmetric: bool) -> tuple[float, float]:
        """The interval with the least divergence."""
        counts = without_zero_spike(histogram.counts)
        if not counts.any():
            return histogram.minimum, histogram.maximum
        filled = np.flatnonzero(counts)
        # Every grid holds zero, so the interval reaches from there even where all values are on one side.
        first, last = min(int(filled[0]), MIDDLE), max(int(filled[-1]) + 1, MIDDLE)
        bins = thresholds(max(last - MIDDLE, MIDDLE - first), self.candidates)  # (K,)
        starts, stops = np.maximum(first, MIDDLE - bins), np.minimum(last, MIDDLE + bins)
        inside = np.rint(255 * (stops - starts) / (2 * bins)).astype(np.int64)
        levels = inside if symmetric else np.full_like(bins, 256)
        limits = bins.astype(np.float64) * histogram.width  # (K,)
        ranking = np.argsort(divergences(counts, starts, stops, levels), kind="stable")
        return self._first_bearable(histogram, limits[ranking], symmetric)

    def _first_bearable(
        self, histogram: Histogram, limits: NDArray[np.float64], symmetric: bool
    ) -> tuple[float, float]:
        """The first of the thresholds `(K,)` whose squared error is bearable; the widest one always is."""
        values, weights = filled_bins(histogram)

        def error(limit: float) -> float:
            low, high = (
                (-limit, limit) if symmetric else (max(histogram.minimum, -limit), min(histogram.maximum, limit))
            )
            bounds = np.array([min(low, 0.0)]), np.array([max(high, 0.0)])
            return float(squared_error(values, weights, *bounds, symmetric=symmetric)[0])

        worst = self.error_limit * error(float(limits.max()))
        best = next(limit for limit in limits.tolist() if limit == limits.max() or error(limit) <= worst)
        return -best, best


def thresholds(reach: int, candidates: int) -> NDArray[np.int64]:
    """Thresholds in bins `(K,)`, widest first (ties keep the wider range), none below one bin per level."""
    spaced = np.linspace(min(reach, 256), reach, candidates)
    return np.unique(np.rint(spaced).astype(np.int64))[::-1]


def without_zero_spike(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts `(BINS,)` with the bin that holds zero cut down to the mean of its filled neighbours."""
    sides = [int(count) for count in (counts[MIDDLE - 1], counts[MIDDLE + 1]) if count > 0]
    smooth = counts.copy()
    smooth[MIDDLE] = min(int(counts[MIDDLE]), round(sum(sides) / len(sides))) if sides else 0
    return smooth


def divergences(
    counts: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64], levels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """`KL(P || Q)` `(K,)` of keeping the bins `starts:stops` with so many levels, for K candidates at once.

    With T values in all, K of them kept, `m_g` of them in the `u_g` filled bins of level g, and a, b outliers on either
    side that P counts in the first and last bin:

        KL = (sum_j P_j log P_j) / T - log T - (sum_g m_g log(m_g / u_g K) + a log Q_first + b log Q_last) / T

    Sums over bins are differences of cumulated sums, so a candidate costs its levels, not its bins. A first or last
    bin that is empty in Q has the probability of one sample, 1 / T: that is all the sample can tell it from.
    """
    wide = counts.astype(np.float64)
    sums = _cumulate(wide)
    filled = _cumulate((wide > 0).astype(np.float64))
    information = _cumulate(_xlogx(wide))
    total = sums[-1]
    group = np.arange(int(levels.max()) + 1)  # (L + 1,)
    share = np.minimum(group / levels[:, None], 1.0)  # (K, L + 1)
    edges = starts[:, None] + np.ceil(share * (stops - starts)[:, None] - 1e-9).astype(np.int64)
    mass, used = np.diff(sums[edges], axis=1), np.diff(filled[edges], axis=1)  # (K, L)
    kept = mass.sum(axis=1)  # (K,)
    mean = mass / np.maximum(used, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_mean = np.where(mass > 0, np.log(mean), 0.0) - np.log(np.maximum(kept, 1))[:, None]
    cross = np.sum(mass * log_mean, axis=1)
    below, above = sums[starts], total - sums[stops]
    p_log_p = information[stops] - information[starts]
    rows = np.arange(len(levels))
    for outliers, bin_index, level in ((below, starts, np.zeros_like(levels)), (above, stops - 1, levels - 1)):
        edge = wide[bin_index]
        p_log_p += _xlogx(edge + outliers) - _xlogx(edge)
        cross += outliers * np.where(edge > 0, log_mean[rows, level], -np.log(total))
    return np.where(kept > 0, (p_log_p - cross) / total - np.log(total), np.inf)


def _cumulate(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, ... values, one longer than the values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _xlogx(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values * np.log(np.maximum(values, 1.0))
