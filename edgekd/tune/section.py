"""The `search:` block of a recipe: what `edgekd tune` varies, and what it looks for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

Objective = Literal["accuracy", "parameters"]


class Searched(BaseModel):
    """The values that one key of the recipe may take: a range, or choices.

    Attributes:
        low: the smallest value; with `high`, both included.
        high: the largest value.
        log: draws evenly in the logarithm: for learning rates.
        choices: values of any kind, instead of a range: numbers, lists of layers, whole methods.
        complement: another key, which gets 1 minus the value: searches alpha as one number in
            `alpha * soft + (1 - alpha) * hard`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[JsonValue] | None = Field(default=None, min_length=1)
    complement: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Searched:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give choices, or low and high, not both")
            numbers = [value for value in self.choices if isinstance(value, int | float)]
            if self.complement is not None and len(numbers) < len(self.choices):
                raise ValueError("complement: 1 minus the value needs numbers")
        elif self.low is None or self.high is None:
            raise ValueError("give low and high, e.g. {low: 1, high: 10}, or choices, e.g. {choices: [8, 14, 20]}")
        elif self.low >= self.high:
            raise ValueError(f"low must be below high, received {self.low} and {self.high}")
        elif self.log and self.low <= 0:
            raise ValueError("log: low must be above 0")
        return self

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The range; None of choices."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class SearchSection(BaseModel):
    """A search over some keys of the recipe.

    Attributes:
        trials: students to train, those that were stopped early included.
        fraction: share of the training split, of each class alike, that a trial learns from. All are scored on the
            whole validation split.
        space: path of a key in the recipe to its values, e.g. `distill.losses.kl.temperature: {low: 1, high: 10}`. A
            loss is named as in the report: `kl`, a second one `kl_2`.
        objectives: what is looked for: the best validation `accuracy`, or the best trade with the number of
            `parameters`. With both no trial is stopped early; the most accurate one wins either way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    trials: int = Field(default=20, ge=1)
    fraction: float = Field(default=0.2, gt=0, le=1)
    space: dict[str, Searched] = Field(min_length=1)
    objectives: list[Objective] = ["accuracy"]

    @field_validator("objectives")
    @classmethod
    def _accuracy_first(cls, value: list[Objective]) -> list[Objective]:
        if value not in (["accuracy"], ["accuracy", "parameters"]):
            raise ValueError("give [accuracy] or [accuracy, parameters]")
        return value
