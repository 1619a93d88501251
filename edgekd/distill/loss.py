"""The contract of a distillation loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.family import Family, Method

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Outputs:
    """What one batch brought forth.

    Attributes:
        student: `(B, K)` float32 logits of the student.
        labels: `(B,)` int64 class indices.
        teacher: `(B, K)` float32 logits of the teacher; None when no loss asks for them.
        student_taps: output of each tapped student layer, by module name.
        teacher_taps: output of each tapped teacher layer, by module name.
        projector: what this loss's `build` returned.
    """

    student: Tensor
    labels: Tensor
    teacher: Tensor | None = None
    student_taps: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])
    teacher_taps: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])
    projector: nn.Module | None = None


class Loss(Method):
    """One term of the total loss, `sum_i weight_i * loss_i`.

    Attributes:
        weight: factor of this term; weights are used as given and need not sum to 1.
    """

    needs_teacher: ClassVar[bool] = True
    weight: float = Field(default=1.0, ge=0)

    def taps(self) -> tuple[list[str], list[str]]:
        """Names of the student's and of the teacher's layers whose outputs the loss compares."""
        return [], []

    def build(self, student: Mapping[str, Shape], teacher: Mapping[str, Shape]) -> nn.Module | None:
        """A module that is trained with the student and dropped afterwards, from the shapes of the tapped outputs.

        Raises:
            ModelError: the shapes cannot be compared.
        """
        return None

    def __call__(self, outputs: Outputs) -> Tensor:
        """The unweighted loss of a batch, a scalar."""
        raise NotImplementedError


LOSSES = Family("edgekd.distill.losses", Loss)
