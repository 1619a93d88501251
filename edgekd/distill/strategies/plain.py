"""One training in which the teacher, or the ensemble of teachers, teaches the student: Hinton et al. 2015.

Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, https://arxiv.org/abs/1503.02531
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekd.distill.strategy import Strategy

if TYPE_CHECKING:
    from edgekd.steps.networks import FloatModel
    from edgekd.steps.school import School


class Plain(Strategy):
    """The student learns from the recipe's teachers, once."""

    def run(self, school: School) -> FloatModel:
        """One lesson."""
        return school.teach("student", school.student, school.teachers)
