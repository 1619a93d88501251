"""The contract of a strategy: who teaches whom, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from edgekd.family import Family, Method

if TYPE_CHECKING:
    from edgekd.data.reader import Reader
    from edgekd.models import ModelSource
    from edgekd.recipe import Recipe
    from edgekd.steps.networks import FloatModel
    from edgekd.steps.school import School


class Strategy(Method):
    """How the student comes about, from the recipe's teachers, losses and training.

    Attributes:
        brings_teacher: a teacher comes from the strategy itself, so that the recipe needs none.
    """

    brings_teacher: ClassVar[bool] = False

    def reasons(self, recipe: Recipe) -> Iterator[str]:
        """Why the recipe cannot be run this way; nothing when it can."""
        yield from ()

    def readers(self) -> Mapping[str, Reader]:
        """The data that the strategy reads besides the recipe's, by field."""
        return {}

    def models(self) -> Mapping[tuple[str | int, ...], ModelSource]:
        """The networks that the strategy brings besides the recipe's, by where they stand among its fields."""
        return {}

    def run(self, school: School) -> FloatModel:
        """Trains whatever it takes and returns the student, its role `student`."""
        raise NotImplementedError


STRATEGIES = Family("edgekd.distill.strategies", Strategy)


def inner_layers(recipe: Recipe) -> Iterator[str]:
    """The reason against losses that name layers of a teacher, where more than one network teaches."""
    inside = [loss.method_name for loss in recipe.distill.losses if loss.compares_layers()] if recipe.distill else []
    if inside:
        yield f"{', '.join(inside)}: compares inner layers of one teacher, and here more than one network teaches"
