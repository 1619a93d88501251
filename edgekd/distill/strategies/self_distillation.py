"""Self-distillation (Tf-KD), the student as trained on the labels being its teacher: Yuan et al. 2020.

    student trained on the labels (listed as `teacher`) -> student

Both have the student's architecture, its first weights and its training; the second learns with the recipe's losses.
This is the self-training variant of teacher-free distillation, Tf-KD_self. The first one is the same network as the
baseline `student_alone`: asking for both trains it once.

Yuan, Tay, Li, Wang, Feng 2020, Revisiting Knowledge Distillation via Label Smoothing Regularization,
https://arxiv.org/abs/1909.11723
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from edgekd.distill.strategy import Strategy

if TYPE_CHECKING:
    from edgekd.recipe import Recipe
    from edgekd.steps.networks import FloatModel
    from edgekd.steps.school import School


class SelfDistillation(Strategy):
    """The student teaches itself (Tf-KD_self)."""

    brings_teacher: ClassVar[bool] = True

    def reasons(self, recipe: Recipe) -> Iterator[str]:
        """There is no other teacher, and at least one loss asks the one there is."""
        if recipe.all_teachers():
            yield "the student is its own teacher: leave the teacher section out, or choose 'born_again'"
        if recipe.distill and not any(loss.needs_teacher for loss in recipe.distill.losses):
            yield "no loss looks at the teacher; add one, e.g. kl"

    def run(self, school: School) -> FloatModel:
        """Two lessons."""
        return school.teach("student", school.student, [school.alone("teacher")])
