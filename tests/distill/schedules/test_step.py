"""Step schedule: hand-computed factors."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgekd.distill.schedule import SCHEDULES


def test_hand_computed() -> None:
    schedule = SCHEDULES.parse({"step": {"milestones": [0.5, 0.75], "gamma": 0.1, "warmup_steps": 2}})
    factors = [schedule.factor(step, 10) for step in range(10)]
    assert factors == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("milestones", [[0.75, 0.5], [0.5, 0.5], [0.0], [30, 60]])
def test_refuses_milestones_that_are_no_increasing_fractions(milestones: list[float]) -> None:
    with pytest.raises(ValidationError, match="increasing fractions"):
        SCHEDULES.load("step").model_validate({"milestones": milestones})
