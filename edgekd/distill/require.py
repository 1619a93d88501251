"""What a loss asks of a batch, refused with the reason when it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekd.distill.loss import Outputs
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


def teacher_logits(outputs: Outputs, loss: str) -> Tensor:
    """The teacher's `(B, K)` logits.

    Raises:
        ModelError: there are none, or the teacher knows another number of classes than the student.
    """
    if outputs.teacher is None:
        raise ModelError(f"the loss '{loss}' needs the teacher's outputs", hint="give the recipe a teacher section")
    if outputs.teacher.shape != outputs.student.shape:
        raise ModelError(
            f"the loss '{loss}' compares teacher and student class by class",
            received=f"teacher outputs {tuple(outputs.teacher.shape)}, student outputs {tuple(outputs.student.shape)}",
            accepted="the same number of classes",
        )
    return outputs.teacher


def projector(outputs: Outputs, loss: str) -> Any:
    """What the loss's `build` returned.

    Raises:
        ModelError: it was not built.
    """
    if outputs.projector is None:
        raise ModelError(f"the loss '{loss}' needs its projector: call build() first")
    return outputs.projector
