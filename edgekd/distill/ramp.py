"""A number that may change over a training: a constant, or a ramp over the share p of its steps that are done.

With u = min(1, p / until):

    linear   from + (to - from) * u
    cosine   to + (from - to) * (1 + cos(pi * u)) / 2
    step     from while p < until, then to

In a recipe: `weight: 0.9`, or `weight: {from: 0.9, to: 0.1, shape: cosine}`.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator


class Ramp(BaseModel):
    """A number on its way.

    Attributes:
        start: value at the first step; `from` in a recipe.
        end: value at the end; `to` in a recipe.
        shape: how it gets there.
        until: share of the training at which `to` is reached (`step`: at which it jumps).
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, serialize_by_alias=True
    )
    start: float = Field(alias="from")
    end: float = Field(alias="to")
    shape: Literal["linear", "cosine", "step"] = "linear"
    until: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _jumps(self) -> Ramp:
        if self.shape == "step" and self.until == 1:
            raise ValueError("a step that is due at the end never comes; give until: 0.5, or another share below 1")
        return self

    def at(self, progress: float) -> float:
        """The formula above."""
        if self.shape == "step":
            return self.start if progress < self.until else self.end
        share = min(1.0, progress / self.until)
        if self.shape == "linear":
            return self.start + (self.end - self.start) * share
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2

    def mean(self) -> float:
        """Average over the training."""
        moving = self.start if self.shape == "step" else (self.start + self.end) / 2
        return self.until * moving + (1 - self.until) * self.end


def _positive(ramp: Ramp) -> Ramp:
    if min(ramp.start, ramp.end) <= 0:
        raise ValueError("both ends of the ramp must be greater than 0")
    return ramp


def _not_negative(ramp: Ramp) -> Ramp:
    if min(ramp.start, ramp.end) < 0:
        raise ValueError("both ends of the ramp must be greater than or equal to 0")
    return ramp


def _kind(value: object) -> str:
    """Which form is meant, so that mistakes are reported for that form alone."""
    return "Ramp" if isinstance(value, dict | Ramp) else "float"


Temperature = Annotated[
    Annotated[float, Field(gt=0), Tag("float")] | Annotated[Ramp, AfterValidator(_positive), Tag("Ramp")],
    Discriminator(_kind),
]
"""A number above 0, or a ramp between two."""

Weight = Annotated[
    Annotated[float, Field(ge=0), Tag("float")] | Annotated[Ramp, AfterValidator(_not_negative), Tag("Ramp")],
    Discriminator(_kind),
]
"""A number of at least 0, or a ramp between two."""


def value_at(number: float | Ramp, progress: float) -> float:
    """The number at `progress`, from 0 to just below 1."""
    return number.at(progress) if isinstance(number, Ramp) else number


def mean_of(number: float | Ramp) -> float:
    """The number's average over the training."""
    return number.mean() if isinstance(number, Ramp) else number


def ends(number: float | Ramp) -> tuple[float, ...]:
    """The number, or both ends of its ramp."""
    return (number.start, number.end) if isinstance(number, Ramp) else (number,)
