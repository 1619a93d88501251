from __future__ import annotations

import math

import numpy as np
import pytest

from edgekd.compress.histogram import BINS
from edgekd.compress.ranges.entropy import Entropy, divergences, thresholds, without_zero_spike
from edgekd.compress.ranges_family import RANGES

from ..plain_histogram import histogram_of

MIDDLE = BINS // 2


def slow_divergence(counts: list[int], start: int, stop: int, levels: int) -> float:
    """The three steps of the talk, bin by bin."""
    p = [float(count) for count in counts[start:stop]]
    groups: dict[int, list[int]] = {}
    for index in range(stop - start):
        groups.setdefault(index * levels // (stop - start), []).append(index)
    q = [0.0] * len(p)
    for members in groups.values():
        filled = [index for index in members if p[index] > 0]
        for index in filled:
            q[index] = sum(p[i] for i in members) / len(filled)
    kept = sum(p)
    p[0] += sum(counts[:start])
    p[-1] += sum(counts[stop:])
    total = sum(p)
    return sum(
        (a / total) * math.log((a / total) / (b / kept if b > 0 else 1 / total)) for a, b in zip(p, q, strict=True) if a
    )


@pytest.mark.parametrize("kind", ["relu", "two-sided", "sparse"])
def test_equals_the_slow_reference(kind: str):
    generator = np.random.default_rng(5)
    x = generator.laplace(size=300 if kind == "sparse" else 30_000)
    histogram = histogram_of((np.maximum(x, 0) if kind == "relu" else x).astype(np.float32))
    counts = without_zero_spike(histogram.counts)
    filled = np.flatnonzero(counts)
    bins = thresholds(max(filled[-1] + 1 - MIDDLE, MIDDLE - filled[0]), 9)
    starts, stops = np.maximum(min(filled[0], MIDDLE), MIDDLE - bins), np.minimum(filled[-1] + 1, MIDDLE + bins)
    levels = np.where(np.arange(len(bins)) % 2 == 0, 256, 128)
    fast = divergences(counts, starts, stops, levels)
    slow = [slow_divergence(counts.tolist(), *map(int, triple)) for triple in zip(starts, stops, levels, strict=True)]
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-12)
    assert np.all(fast >= -1e-12)


def test_a_distribution_that_the_grid_can_express_is_kept_whole():
    histogram = histogram_of(np.repeat(np.linspace(0, 3.99, 200), 50).astype(np.float32))
    low, high = RANGES.parse("entropy").choose(histogram)
    assert (low, high) == (0.0, pytest.approx(3.99))


def test_zeros_of_a_relu_do_not_move_the_threshold():
    positive = np.abs(np.random.default_rng(1).standard_normal(50_000)).astype(np.float32)
    plain, spiked = histogram_of(positive), histogram_of(np.concatenate([positive, np.zeros(500_000)]))
    chosen = RANGES.parse("entropy").choose(plain)[1], RANGES.parse("entropy").choose(spiked)[1]
    assert chosen[0] == pytest.approx(chosen[1], rel=0.02)
    assert chosen[0] > 2.5


def test_thresholds_go_from_wide_to_narrow():
    found = thresholds(4000, 50)
    assert found[0] == 4000 and found[-1] == 256 and np.all(np.diff(found) < 0)
    assert thresholds(3, 50).tolist() == [3]


def test_a_constant_background_does_not_make_it_cut_off_the_signal() -> None:
    signal = np.abs(np.random.default_rng(0).standard_normal(10_000)) * 2
    histogram = histogram_of(np.concatenate([np.full(90_000, 0.3), signal]))
    _, high = Entropy().choose(histogram)
    _, spiked = Entropy(error_limit=1e9).choose(histogram)
    assert spiked < 1.0 < 4.0 < high
