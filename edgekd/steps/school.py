"""The school: what a strategy works with. Every network that it asks for is trained once, kept, scored and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekd.data import Reader
from edgekd.distill import LOSSES
from edgekd.models import ModelSection
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.evaluate import evaluate, evaluate_ensemble
from edgekd.steps.networks import Ensemble, FloatModel
from edgekd.steps.replay import Rehearsal, rehearse
from edgekd.steps.train import Lesson, teacher_weight, train_student, train_teacher
from edgekd.store import Entry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class School:
    """The networks of a run.

    Attributes:
        context: the run.
        data: its data; every network is scored on its test split.
        teachers: the recipe's teachers, trained.
        models: every network so far, each role once.
        bounds: ensembles: what several of them answer together.
        warnings: what the report should warn about.
        old: the old task's data and its first student, where a strategy measures forgetting.
    """

    context: Context
    data: PreparedData
    teachers: list[FloatModel] = field(default_factory=list[FloatModel])
    models: list[FloatModel] = field(default_factory=list[FloatModel])
    bounds: list[Ensemble] = field(default_factory=list[Ensemble])
    warnings: list[str] = field(default_factory=list[str])
    old: tuple[PreparedData, FloatModel] | None = None

    @property
    def student(self) -> ModelSection:
        """The recipe's student."""
        return self.context.recipe.student

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.context.recipe.seed

    def hire(self) -> None:
        """Trains the recipe's teachers; several of them are also scored as an ensemble."""
        sections = self.context.recipe.all_teachers()
        for number, section in enumerate(sections, 1):
            role = "teacher" if len(sections) == 1 else f"teacher_{number}"
            entry = train_teacher(self.context, self.data, section, role)
            self.teachers.append(self._listed(role, section, entry, temperatures=True))
        if len(self.teachers) > 1:
            self.bound("ensemble", self.teachers)

    def teach(
        self,
        role: str,
        section: ModelSection,
        teachers: Sequence[FloatModel],
        *,
        seed: int | None = None,
        data: PreparedData | None = None,
        shares: NDArray[np.float32] | None = None,
    ) -> FloatModel:
        """A network after the recipe's losses and training, with these teachers; see `Lesson` for the fields."""
        distill = self.context.recipe.distill
        losses = [] if distill is None else distill.losses
        seed = self.seed if seed is None else seed
        lesson = Lesson(data or self.data, section, losses, teachers, seed, shares, self._origin(section))
        return self._listed(role, section, train_student(self.context, lesson, role))

    def alone(self, role: str) -> FloatModel:
        """The student after the same training on hard labels only; it is listed as a teacher where it becomes one.

        It starts from the same weights as the student, also where these are the teacher's: the difference is what the
        teacher's outputs brought.
        """
        origin = self._origin(self.student)
        lesson = Lesson(self.data, self.student, [LOSSES.parse("ce")], [], self.seed, origin=origin)
        entry = train_student(self.context, lesson, role)
        return self._listed(role, self.student, entry, temperatures=role == "teacher")

    def as_given(self, role: str, section: ModelSection) -> FloatModel:
        """A network with the weights that its section names, not trained."""
        bare = section.model_copy(update={"train": None})
        return self._listed(role, bare, train_teacher(self.context, self.data, bare, role))

    def rehearse(self, reader: Reader, replay: int, old: FloatModel) -> Rehearsal:
        """The new data joined with exemplars of the old; forgetting is measured on the old from here on."""
        found = rehearse(self.context, self.data, reader, replay)
        self.old = (found.old, old)
        score, classes = self._score(found.old, old)["accuracy"], len(self.data.entry.info["classes"])
        if score is not None and score < 2 / classes:
            other = "under another normalisation than data.normalize" if reader.kind == "image" else "on other tokens"
            self.warn(
                f"the student scores {100 * score:.1f} % on the old task before it learns the new one, not far from "
                f"chance: it was trained on other data, or {other}"
            )
        return found

    def bound(self, role: str, members: Sequence[FloatModel]) -> None:
        """Lists what the networks answer together, by weight: confidence needs labels, which a test withholds."""
        weights = [teacher_weight(member.section) for member in members]
        self.bounds.append(Ensemble(role, members, evaluate_ensemble(self.context, self.data, members, weights)))

    def ship(self, model: FloatModel, note: str) -> FloatModel:
        """Makes a listed network the student."""
        student = replace(model, role="student", note=note)
        self.models[self.models.index(model)] = student
        return student

    def warn(self, text: str) -> None:
        """For the terminal and the report."""
        self.context.progress.warn(text)
        self.warnings.append(text)

    def forgetting(self) -> list[dict[str, Any]]:
        """Test accuracy on the old task of each student, before and after it learnt the new one."""
        if self.old is None:
            return []
        data, first = self.old
        before = self._score(data, first)
        rows: list[dict[str, Any]] = []
        for model in (model for model in self.models if model.role in ("student", "student_alone")):
            after = self._score(data, model)
            scores = {"samples": before["samples"], "before": before["accuracy"], "after": after["accuracy"]}
            rows.append({"role": model.role, **scores})
        return rows

    def _origin(self, section: ModelSection) -> FloatModel | None:
        return self.teachers[0] if section.starts_from_teacher and self.teachers else None

    def _score(self, data: PreparedData, model: FloatModel) -> dict[str, Any]:
        return evaluate(self.context, data, model.section, model.entry).info

    def _listed(self, role: str, section: ModelSection, entry: Entry, *, temperatures: bool = False) -> FloatModel:
        evaluation = evaluate(self.context, self.data, section, entry, temperatures=temperatures)
        model = FloatModel(role, section, entry, evaluation)
        self.models.append(model)
        return model
