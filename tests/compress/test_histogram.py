from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.compress.histogram import BINS, Histogram, merge_pairs, radius_for
from edgekd.compress.observe import count

from .plain_histogram import add


def values(seed: int, size: int, scale: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(size) * scale * 10.0 ** generator.integers(-3, 3, size)).astype(np.float32)


@given(st.integers(0, 10**6), st.integers(1, 400), st.floats(1e-6, 1e6), st.lists(st.integers(0, 400), max_size=4))
@settings(max_examples=60, deadline=None)
def test_batches_and_their_order_do_not_matter(seed: int, size: int, scale: float, cuts: list[int]):
    x = values(seed, size, scale)
    whole, parts = Histogram(), Histogram()
    add(whole, x)
    for part in reversed(np.split(x, sorted(cut for cut in cuts if cut < size))):
        add(parts, part)
    assert (whole.radius, whole.minimum, whole.maximum) == (parts.radius, parts.minimum, parts.maximum)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    assert whole.counts.sum() == size
    assert (whole.minimum, whole.maximum) == (x.min(), x.max())


@given(st.integers(0, 10**6), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_equals_numpys_histogram(seed: int, size: int):
    x = values(seed, size, 1.0)
    histogram = Histogram()
    add(histogram, x)
    expected, _ = np.histogram(x.astype(np.float64), bins=BINS, range=(-histogram.radius, histogram.radius))
    np.testing.assert_array_equal(histogram.counts, expected)


def test_counting_a_tensor_in_chunks_equals_the_plain_way():
    x = values(3, 600_000, 1.0)
    plain, chunked = Histogram(), Histogram()
    add(plain, x)
    count(torch.from_numpy(x.reshape(600, 1000)).T, float(x.min()), float(x.max()), chunked)
    np.testing.assert_array_equal(plain.counts, chunked.counts)


def test_zeros_first():
    histogram = Histogram()
    add(histogram, np.zeros(5, np.float32))
    assert histogram.radius == 0 and histogram.counts[BINS // 2] == 5
    add(histogram, np.float32([-3.0, 3.0]))
    assert histogram.radius == 4 and histogram.counts[BINS // 2] == 5 and histogram.counts.sum() == 7


def test_merging_keeps_the_mass_and_the_middle():
    counts = np.arange(BINS)
    merged = merge_pairs(counts)
    assert merged.sum() == counts.sum()
    assert merged[BINS // 4] == 0 + 1 and merged[3 * BINS // 4 - 1] == (BINS - 2) + (BINS - 1)
    assert not merged[: BINS // 4].any() and not merged[3 * BINS // 4 :].any()


@pytest.mark.parametrize(("magnitude", "radius"), [(0.0, 0.0), (0.99, 1.0), (1.0, 2.0), (1.01, 2.0), (6.0, 8.0)])
def test_radius_is_a_power_of_two_above(magnitude: float, radius: float):
    assert radius_for(magnitude) == radius
