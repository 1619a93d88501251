"""Continual distillation, new data without forgetting the old, with replay: Li, Hoiem 2016.

The student starts from weights that have learnt an old task, `student.weights`. It is trained on the recipe's data (new
samples of the same classes) together with `replay` exemplars of the old training data, drawn evenly over the classes.
With s_old the logits of the student as it was and t those of the recipe's teacher, the target of the losses is

    on a new sample      (1 - keep) * t + keep * s_old      (without a teacher: s_old, as in the paper)
    on a replayed one    s_old

Li and Hoiem give each task a head of its own and add a divergence from the old network's recorded answers on the new
data; here the tasks share their classes and the head, so that the two targets are mixed (see `distill/ensemble.py`).
Where the old student is surely wrong on the new samples, a large `keep` teaches just that: the default is small.
Replay of exemplars comes on top: Rebuffi et al. 2017, iCaRL, https://arxiv.org/abs/1611.07725.

Forgetting is the old task's test accuracy before minus after, under the normalisation, or on the tokens, of the new
data, with which the student is shipped; fix `data.normalize` to that of the old run when the two differ.

Li, Hoiem 2016, Learning without Forgetting, https://arxiv.org/abs/1606.09282
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from edgekd.data.reader import READERS, Reader
from edgekd.distill.strategy import Strategy, inner_layers
from edgekd.family import OneOf

if TYPE_CHECKING:
    from edgekd.recipe import Recipe
    from edgekd.steps.networks import FloatModel
    from edgekd.steps.school import School


class Continual(Strategy):
    """Learning without forgetting, with replay.

    Attributes:
        old_data: reader of the old task's data; the same classes; sizes and splits as the recipe's `data` says.
        replay: exemplars of the old training split that are trained on again.
        keep: the old student's share of the target on new samples.
    """

    brings_teacher: ClassVar[bool] = True
    old_data: Annotated[Reader, OneOf(READERS)]
    replay: int = Field(default=200, ge=0)
    keep: float = Field(default=0.1, ge=0, le=1)

    def reasons(self, recipe: Recipe) -> Iterator[str]:
        """Needs a trained student, one new teacher at most, and cached outputs to mix."""
        if recipe.student.weights is None:
            yield "a student that has learnt nothing can forget nothing: give student.weights"
        if len(recipe.all_teachers()) > 1:
            yield "one new teacher at most: give 'teacher' in place of 'teachers'"
        if (kind := recipe.data.reader.kind) != self.old_data.kind:
            yield f"old_data '{self.old_data.method_name}' gives {self.old_data.kind}s, the recipe's data are {kind}s"
        if kind == "text" and (recipe.data.task != "sequence_classification" or self.old_data.labels_tokens):
            yield "texts are replayed with one class each: task sequence_classification, of the old data too"
        if self.old_data == recipe.data.reader:
            yield "old_data is the recipe's own data: nothing is new"
        if recipe.distill and not any(loss.needs_teacher for loss in recipe.distill.losses):
            yield "no loss looks at the teacher, so nothing keeps the old task; add one, e.g. kl"
        if recipe.distill and recipe.teacher is not None:
            yield from inner_layers(recipe)
            if recipe.distill.teacher_outputs == "recomputed":
                yield "the targets are mixed from cached outputs: give teacher_outputs 'cached' or {crops: n}"

    def readers(self) -> Mapping[str, Reader]:
        """The old data."""
        return {"old_data": self.old_data}

    def run(self, school: School) -> FloatModel:
        """One lesson on new and replayed samples, between two looks at the old task."""
        import numpy as np

        old = school.as_given("old_student", school.student)
        rehearsal = school.rehearse(self.old_data, self.replay, old)
        shares = None
        if school.teachers:
            shares = np.zeros((2, rehearsal.samples), np.float32)
            shares[0, : rehearsal.fresh] = 1 - self.keep
            shares[1] = 1 - shares[0]
        teachers = [*school.teachers, old]
        return school.teach("student", school.student, teachers, data=rehearsal.data, shares=shares)
