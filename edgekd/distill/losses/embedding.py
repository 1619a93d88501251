"""Sentence-embedding distillation, the student's embedding becomes the teacher's: Reimers, Gurevych 2020.

With embeddings s (B, D_s) and t (B, D_t), and a learned matrix W where the widths differ (the identity otherwise):

    mse:     loss = mean over all elements of (s W - t)^2
    cosine:  loss = mean over the batch of 1 - <s W, t> / (||s W|| ||t||)

The paper's first term, on the source sentence; its second is the same on a translation, which is one more sample. W is
trained with the student and dropped afterwards.

Reimers, Gurevych 2020, Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation,
https://arxiv.org/abs/2004.09813, section 2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgekd.distill.loss import Loss, Outputs, Shapes
from edgekd.distill.require import projector
from edgekd.distill.vectors import feature_pair, projection, unit
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Embedding(Loss):
    """Distance between the networks' outputs, which are sentence embeddings: Reimers, Gurevych 2020.

    Attributes:
        distance: `mse` between the vectors, or `cosine` where only their direction counts.
    """

    distance: Literal["mse", "cosine"] = "mse"

    def build(self, shapes: Shapes) -> nn.Module:
        """The matrix D_s -> D_t."""
        return projection(shapes.student_width, shapes.teacher_width)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import mse_loss

        student, teacher = feature_pair(outputs, "embedding", None, None)
        student = projector(outputs, "embedding")(student)  # (B, D_t)
        if student.shape != teacher.shape:
            raise ModelError(
                "the loss 'embedding' was built for another teacher",
                received=f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}",
            )
        if self.distance == "mse":
            return mse_loss(student, teacher)
        return (1 - (unit(student) * unit(teacher)).sum(1)).mean()
