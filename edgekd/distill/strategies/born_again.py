"""Born-again networks, each generation of the student teaching the next one: Furlanello et al. 2018.

    teacher -> generation_1 -> generation_2 -> ... -> generation_n

Generation k starts from fresh weights of its own (seed + k - 1; `student.weights`, where given, are those of all) and
learns with the recipe's losses and training from generation k - 1, the first one from the recipe's teacher: the
student's own architecture in the paper, any here. The generation with the best validation accuracy, the later one of
equals, is the student that is shipped. The mean of all generations' logits, the paper's ensemble, is the upper bound
that the report lists as `generations`.

Furlanello, Lipton, Tschannen, Itti, Anandkumar 2018, https://arxiv.org/abs/1805.04770, section 3
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from edgekd.distill.strategy import Strategy, inner_layers

if TYPE_CHECKING:
    from edgekd.recipe import Recipe
    from edgekd.steps.networks import FloatModel
    from edgekd.steps.school import School


class BornAgain(Strategy):
    """A chain of students of one architecture.

    Attributes:
        generations: students in the chain.
    """

    generations: int = Field(default=3, ge=2, le=20)

    def reasons(self, recipe: Recipe) -> Iterator[str]:
        """Needs a first teacher, and losses that fit every teacher of the chain."""
        if not recipe.all_teachers():
            yield "the first generation needs a teacher section; 'self_distillation' does without"
        if recipe.teacher is None or recipe.teacher.model != recipe.student.model:
            yield from inner_layers(recipe)

    def run(self, school: School) -> FloatModel:
        """One lesson per generation."""
        pupils: list[FloatModel] = []
        for number in range(1, self.generations + 1):
            teachers = pupils[-1:] or school.teachers
            seed = school.seed + number - 1
            pupils.append(school.teach(f"generation_{number}", school.student, teachers, seed=seed))
        school.bound("generations", pupils)
        number, best = max(enumerate(pupils, 1), key=lambda pair: (pair[1].validation_accuracy or 0.0, pair[0]))
        return school.ship(best, f"generation {number} of {self.generations}")
