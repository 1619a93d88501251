"""Intervals against published and hand-computed values, and against inverting the score test by bisection."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.report.intervals import Z_95, difference, wilson


@pytest.mark.parametrize(
    ("hits", "samples", "low", "high"),
    [
        # Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # By hand: centre (0.5 + 0.019207) / 1.038415 = 0.5, half 1.96 * sqrt(0.0025 + 0.000096) / 1.038415 = 0.0962.
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilson(hits: int, samples: int, low: float, high: float) -> None:
    assert wilson(hits / samples, samples) == pytest.approx((low, high), abs=6e-5)


def slow_bound(value: float, samples: int, outside: float) -> float:
    """The proportion p between `value` and `outside` at which |value - p| is z standard errors of p."""
    inside = value
    for _ in range(200):
        middle = (inside + outside) / 2
        if abs(value - middle) <= Z_95 * math.sqrt(middle * (1 - middle) / samples):
            inside = middle
        else:
            outside = middle
    return inside


@given(st.integers(1, 20000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_inverts_the_score_test(case: tuple[int, int]) -> None:
    hits, samples = case
    low, high = wilson(hits / samples, samples)
    assert 0 <= low <= hits / samples + 1e-12 and hits / samples - 1e-12 <= high <= 1
    assert low == pytest.approx(slow_bound(hits / samples, samples, 0.0), abs=1e-9)
    assert high == pytest.approx(slow_bound(hits / samples, samples, 1.0), abs=1e-9)


def test_difference() -> None:
    # Newcombe (1998), Interval estimation for the difference between independent proportions, table II, method 10.
    assert difference(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=6e-5)
    assert difference(9 / 10, 10, 3 / 10, 10) == pytest.approx((0.1705, 0.8090), abs=6e-5)
    assert difference(10 / 10, 10, 0 / 10, 10) == pytest.approx((0.6075, 1.0), abs=6e-5)
