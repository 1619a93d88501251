"""What every range estimator must hold to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.compress.ranges_family import RANGES

from ..plain_histogram import histogram_of


@pytest.mark.parametrize("name", RANGES.names())
@given(seed=st.integers(0, 10**6), shift=st.sampled_from([-9.0, -1.0, 0.0, 1.0, 9.0]), symmetric=st.booleans())
@settings(max_examples=15, deadline=None)
def test_bounds_hold_zero_and_stay_within_what_was_seen(name: str, seed: int, shift: float, symmetric: bool):
    x = np.random.default_rng(seed).standard_normal(500) + shift
    histogram = histogram_of(x)
    low, high = RANGES.parse(name).choose(histogram, symmetric=symmetric)
    assert min(histogram.minimum, 0) <= low <= 0 <= high <= max(histogram.maximum, 0)
    assert high > low


@pytest.mark.parametrize("name", RANGES.names())
@pytest.mark.parametrize("symmetric", [False, True])
def test_degenerate_tensors(name: str, symmetric: bool):
    method = RANGES.parse(name)
    assert method.choose(histogram_of(np.zeros(10)), symmetric=symmetric) == (0.0, 0.0)
    low, high = method.choose(histogram_of(np.full(10, 3.0)), symmetric=symmetric)
    assert low == 0 and high == pytest.approx(3.0, rel=1e-3)
    low, high = method.choose(histogram_of(np.full(10, -3.0)), symmetric=symmetric)
    assert high == 0 and low == pytest.approx(-3.0, rel=1e-3)


@pytest.mark.parametrize("name", ["percentile", "entropy"])
def test_an_outlier_is_cut_off_where_minmax_keeps_it(name: str):
    x = np.abs(np.random.default_rng(0).standard_normal(200_000))
    histogram = histogram_of(np.append(x, 100.0))
    assert RANGES.parse("minmax").choose(histogram) == (0.0, 100.0)
    low, high = RANGES.parse(name).choose(histogram)
    assert low == 0 and 2.5 < high < 20
