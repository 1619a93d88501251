"""The temperature that a recipe uses is found wherever its losses name it."""

from __future__ import annotations

from pydantic import JsonValue

from edgekd.report.sections.temperatures import recipe_temperatures


def test_found() -> None:
    losses: list[JsonValue] = ["ce", {"kl": {"weight": 0.9, "temperature": 4}}, {"hint": {"layer": "x"}}]
    assert recipe_temperatures({"distill": {"losses": losses}}) == {4.0}
    losses.append({"kl": {"temperature": {"from": 8, "to": 2, "shape": "cosine"}}})
    assert recipe_temperatures({"distill": {"losses": losses}}) == {2.0, 4.0, 8.0}


def test_absent() -> None:
    for recipe in ({}, {"distill": None}, {"distill": {"losses": None}}, {"distill": {"losses": ["kl", {"kl": None}]}}):
        assert recipe_temperatures(recipe) == set()
