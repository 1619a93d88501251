"""Teacher assistants, a cascade of networks of intermediate size: Mirzadeh et al. 2019.

    teacher -> assistant_1 -> assistant_2 -> ... -> student

Each one learns from the one before it with the recipe's losses and training. A student learns less from a teacher that
is much larger than itself; the paper finds that an assistant of any size between the two helps, and longer chains help
more. A step that shrinks more than 5 times in parameters is warned about.

Mirzadeh, Farajtabar, Li, Levine, Matsukawa, Ghasemzadeh 2019, https://arxiv.org/abs/1902.03393
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgekd.distill.strategy import Strategy, inner_layers
from edgekd.family import OneOf
from edgekd.models import MODELS, ModelSection, ModelSource

if TYPE_CHECKING:
    from edgekd.recipe import Recipe
    from edgekd.steps.networks import FloatModel
    from edgekd.steps.school import School

SHRINK = 5.0
"""How many times fewer parameters than its teacher a pupil may have without a warning."""


class TeacherAssistant(Strategy):
    """A cascade of intermediate models.

    Attributes:
        assistants: their architectures, from the teacher's side to the student's.
    """

    assistants: list[Annotated[ModelSource, OneOf(MODELS)]] = Field(min_length=1)

    def reasons(self, recipe: Recipe) -> Iterator[str]:
        """Needs a first teacher, and losses that fit every teacher of the cascade."""
        if not recipe.all_teachers():
            yield "the first assistant needs a teacher section"
        yield from inner_layers(recipe)

    def models(self) -> Mapping[tuple[str | int, ...], ModelSource]:
        """The assistants."""
        return {("assistants", index): model for index, model in enumerate(self.assistants)}

    def run(self, school: School) -> FloatModel:
        """One lesson per assistant, and the student's."""
        teachers: Sequence[FloatModel] = school.teachers
        for number, model in enumerate(self.assistants, 1):
            teachers = [self._step(school, f"assistant_{number}", ModelSection(model=model), teachers)]
        return self._step(school, "student", school.student, teachers)

    def _step(self, school: School, role: str, section: ModelSection, teachers: Sequence[FloatModel]) -> FloatModel:
        pupil = school.teach(role, section, teachers)
        times = max(teacher.parameters for teacher in teachers) / pupil.parameters
        if times > SHRINK:
            names = ", ".join(teacher.role for teacher in teachers)
            school.warn(
                f"distill.strategy.teacher_assistant: {role} has {times:.1f} times fewer parameters than {names}; "
                f"above {SHRINK:g} times, an assistant in between is worth a try"
            )
        return pupil
