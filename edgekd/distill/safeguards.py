"""Warnings that a recipe gets for free: pairs of teacher, student and temperature that rarely distil well.

A temperature is judged by the teacher's own logits on the validation split: the mean entropy of softmax(logits / T)
over log K, 0 for a hard label, 1 where all K classes look alike. A wide gap is one where published students fall behind
those of a smaller teacher: Mirzadeh et al. 2020, Improved Knowledge Distillation via Teacher Assistant,
https://arxiv.org/abs/1902.03393, and Cho, Hariharan 2019, On the Efficacy of Knowledge Distillation,
https://arxiv.org/abs/1910.01348. Neither names a number of parameters where it begins; `WIDEST_GAP` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.distill.loss import Loss
from edgekd.distill.ramp import ends, mean_of
from edgekd.distill.temperature import entropy_share

WIDEST_GAP = 10.0
"""Teacher's parameters over the student's; above it, an assistant halfway makes two steps of more than 3 times."""
NEAR_UNIFORM, NEAR_HARD = 0.95, 0.02
"""Shares of log K. Above, all classes look alike; below, a soft label of 10 classes adds 0.07 bits to the hard one."""
OFTEN_WRONG = 0.1
"""Validation error of a teacher whose mistakes the student should not learn unopposed: one label in ten."""


@dataclass(frozen=True)
class Teaching:
    """What is known of a teacher before it teaches.

    Attributes:
        logits: `(N, K)` on the validation split; no rows where the outputs are no classes.
        labels: `(N,)` of the same samples.
        parameters: of the teacher.
        student_parameters: of the student.
    """

    logits: NDArray[np.floating]
    labels: NDArray[np.int64]
    parameters: int
    student_parameters: int

    @property
    def accuracy(self) -> float:
        """Share of the validation split that the teacher gets right."""
        return float((self.logits.argmax(axis=1) == self.labels).mean())


def early_warnings(teaching: Teaching, losses: Sequence[Loss]) -> list[str]:
    """What can be said before the student is trained: gap, temperatures, and a teacher without a corrective."""
    if not len(teaching.labels):
        return _gap(teaching)
    return [*_gap(teaching), *_temperatures(teaching, losses), *_unopposed(teaching, losses)]


def late_warnings(teacher: float, students: dict[str, float], samples: int) -> list[str]:
    """What the students' validation accuracies say about the teacher's.

    Args:
        teacher: the teacher's validation accuracy.
        students: that of each student, by what it is called.
        samples: of the validation split.
    """
    return [
        f"the teacher is no better than {name}: {100 * teacher:.2f} % against {100 * value:.2f} % of {samples} "
        "validation samples. It has little to teach: train it longer, take a better one, or ship the student without it"
        for name, value in students.items()
        if teacher <= value
    ]


def _gap(teaching: Teaching) -> list[str]:
    ratio = teaching.parameters / max(1, teaching.student_parameters)
    if ratio <= WIDEST_GAP:
        return []
    return [
        f"capacity gap: the teacher has {ratio:.1f} times the student's parameters ({teaching.parameters:,} and "
        f"{teaching.student_parameters:,}), more than {WIDEST_GAP:g} times. Students of much larger teachers fall "
        "behind those of smaller ones (Mirzadeh et al. 2020): try a smaller teacher, one of intermediate size in "
        "between, or a larger student"
    ]


def _temperatures(teaching: Teaching, losses: Sequence[Loss]) -> list[str]:
    """Of the losses that soften the teacher's logits as they are; others use a temperature for something else."""
    found: list[str] = []
    named = [(loss, loss.softening()) for loss in losses if mean_of(loss.weight)]
    for loss, temperature in ((loss, end) for loss, number in named if number is not None for end in ends(number)):
        share = entropy_share(teaching.logits, temperature)
        what = f"{loss.method_name}: at temperature {temperature:g} the teacher's soft labels on the validation split"
        if share > NEAR_UNIFORM:
            found.append(
                f"{what} are near uniform: {100 * share:.1f} % of the largest entropy, above {100 * NEAR_UNIFORM:g} %. "
                "What tells the classes apart drowns: lower the temperature"
            )
        elif share < NEAR_HARD:
            found.append(
                f"{what} are near one-hot: {100 * share:.2f} % of the largest entropy, below {100 * NEAR_HARD:g} %. "
                "They say little more than the hard labels: raise the temperature"
            )
    return found


def _unopposed(teaching: Teaching, losses: Sequence[Loss]) -> list[str]:
    error = 1 - teaching.accuracy
    if error <= OFTEN_WRONG or any(mean_of(loss.weight) for loss in losses if loss.learns_labels):
        return []
    return [
        f"alpha is 1, no weight is on the hard labels, and the teacher is wrong on {100 * error:.1f} % of "
        f"{len(teaching.labels)} validation samples, more than {100 * OFTEN_WRONG:g} %. The student learns the "
        "mistakes too: add 'ce' to distill.losses, or train the teacher longer"
    ]
