"""The search that belongs to the run's recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from edgekd.report.document.parts import Fraction, Part


class SearchTrial(Part):
    """One trial of a search; figures are None where it was stopped early (`pruned`), or failed, for `reason`.

    `epochs` counts those that were reported, `accuracy` is of the validation split.
    """

    number: int
    state: Literal["complete", "pruned", "fail", "running"]
    values: dict[str, JsonValue]
    accuracy: Fraction | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    reason: str | None = None


class Search(Part):
    """The search that belongs to the run's recipe.

    Attributes:
        finished: day on which its last trial ended, `2026-01-31`.
        networks: what the run's networks were trained with: the winner's values, or the recipe's own.
        fraction: share of the training split that trials learnt from.
        space: key of the recipe to its range or choices.
        best: number of the winning trial.
        importances: key to its share; None for `importances_reason`.
        front: numbers of the complete trials that no other beats in both accuracy and parameters, smallest first.
    """

    finished: str | None = None
    networks: Literal["winner", "recipe"] = "winner"
    objectives: list[str]
    fraction: Fraction
    validation_samples: int
    space: dict[str, dict[str, JsonValue]]
    best: int
    importances: dict[str, float] | None = None
    importances_reason: str | None = None
    front: list[int]
    trials: list[SearchTrial]
