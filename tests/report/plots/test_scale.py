"""Axes: every value is inside, ticks are round and inside."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.report.plots.scale import fit


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), st.sampled_from([None, False]))
def test_values_and_ticks_are_inside(values: list[float], log: bool | None) -> None:
    scale = fit(values, 0, 100, log=log)
    for value in (*values, *scale.ticks):
        assert -1e-6 <= scale(value) <= 100 + 1e-6
    assert len(scale.ticks) <= 12
    assert list(scale.ticks) == sorted(scale.ticks)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_bounds_are_kept(values: list[float]) -> None:
    scale = fit(values, 0, 100, bounds=(0, 100), log=False)
    assert scale.low >= 0 and scale.high <= 100
    assert len(scale.ticks) >= 2


def test_ticks_of_a_percentage() -> None:
    scale = fit([84.2, 94.5], 300, 0, ticks=6, bounds=(0, 100))
    assert [scale.label(tick) for tick in scale.ticks] == ["82", "84", "86", "88", "90", "92", "94", "96"]
    assert scale(scale.low) == 300 and scale(scale.high) == 0


def test_a_wide_span_is_logarithmic() -> None:
    scale = fit([0.1, 10], 0, 100)
    assert scale.log and not fit([1, 2], 0, 100).log and not fit([0, 10], 0, 100).log
    assert scale(1) == pytest.approx(50)
    assert all(math.isclose(tick, float(scale.label(tick))) for tick in scale.ticks)


def test_one_value() -> None:
    for value in (0.0, 5.0, -3.0, 100.0):
        scale = fit([value], 0, 100)
        assert 0 < scale(value) < 100
