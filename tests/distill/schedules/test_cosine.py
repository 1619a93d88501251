"""Cosine schedule: hand-computed factors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.distill.schedule import SCHEDULES


def test_hand_computed() -> None:
    schedule = SCHEDULES.parse({"cosine": {"warmup_steps": 4}})
    factors = [schedule.factor(step, 12) for step in range(12)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[6] == pytest.approx(0.8535533905932737)  # (1 + cos(pi / 4)) / 2
    assert factors[8] == pytest.approx(0.5)
    assert SCHEDULES.parse({"cosine": {"final": 0.1}}).factor(5, 10) == pytest.approx(0.55)


@given(st.integers(0, 20), st.integers(1, 100), st.floats(0, 1))
def test_rises_then_falls_within_bounds(warmup: int, rest: int, final: float) -> None:
    schedule = SCHEDULES.parse({"cosine": {"warmup_steps": warmup, "final": final}})
    factors = [schedule.factor(step, warmup + rest) for step in range(warmup + rest)]
    assert all(0 < factor <= 1 for factor in factors[:-1])
    assert factors[: warmup + 1] == sorted(factors[: warmup + 1])
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    assert factors[warmup] == 1.0
