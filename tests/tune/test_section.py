"""The search section: one form per key, each mistake named."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edgekd.tune.section import Searched, SearchSection


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give low and high"),
        ({"low": 1}, "give low and high"),
        ({"low": 2, "high": 2}, "low must be below high"),
        ({"low": 0, "high": 1, "log": True}, "low must be above 0"),
        ({"low": 0, "high": 1, "choices": [1]}, "not both"),
        ({"choices": []}, "at least 1 item"),
        ({"choices": ["a"], "complement": "distill.losses.ce.weight"}, "needs numbers"),
        ({"low": 0, "high": float("inf")}, "finite"),
        ({"lo": 1, "high": 2}, "Extra inputs"),
    ],
)
def test_refusals(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Searched.model_validate(fields)


@pytest.mark.parametrize("objectives", [[], ["parameters"], ["parameters", "accuracy"], ["accuracy", "latency"]])
def test_objectives(objectives: list[str]) -> None:
    with pytest.raises(ValidationError):
        SearchSection.model_validate({"space": {"distill.x": {"choices": [1]}}, "objectives": objectives})


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(ValidationError):
        SearchSection.model_validate({"space": {}})
