"""Hint: a student's feature map, through a learned 1x1 convolution, imitates a teacher's.

With student map F_s (B, C_s, H_s, W_s), teacher map F_t (B, C_t, H_t, W_t) and projector r (a 1x1 convolution with
bias, C_s -> C_t):

    loss = 1/2 * mean over all elements of  (r(pool(F_s)) - pool(F_t))^2

pool averages the larger map down to the smaller one's height and width (adaptive average pooling), where the paper uses
an unpadded convolution that shrinks the student's map. The mean over elements, in place of the paper's sum, keeps the
weight's meaning over layers of different size. Flat features (B, C) are maps of 1x1. The projector is trained with the
student and dropped afterwards.

Romero et al. 2015, FitNets: Hints for Thin Deep Nets, https://arxiv.org/abs/1412.6550, equation 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from edgekd.distill.loss import Loss, Outputs, Shapes
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Hint(Loss):
    """Mean squared error between a projected student layer and a teacher layer.

    Attributes:
        student: name of the student's module, e.g. `layer2`.
        teacher: name of the teacher's module.
    """

    looks_inside: ClassVar[bool] = True
    student: str
    teacher: str

    def taps(self) -> tuple[list[str], list[str]]:
        """The two layers."""
        return [self.student], [self.teacher]

    def build(self, shapes: Shapes) -> nn.Module:
        """The 1x1 convolution C_s -> C_t."""
        from torch import nn

        student, teacher = shapes.student[self.student], shapes.teacher[self.teacher]
        if any(len(shape) not in (2, 4) for shape in (student, teacher)):
            raise ModelError(
                "the loss 'hint' compares feature maps (B, C, H, W) or flat features (B, C)",
                where=f"student '{self.student}', teacher '{self.teacher}'",
                received=f"{student} and {teacher}",
            )
        return nn.Conv2d(student[1], teacher[1], kernel_size=1)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import adaptive_avg_pool2d, mse_loss

        if outputs.projector is None:
            raise ModelError("the loss 'hint' needs its projector: call build() first")
        student = _as_map(outputs.student_taps[self.student])
        teacher = _as_map(outputs.teacher_taps[self.teacher]).to(student.dtype)
        size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
        student = student if student.shape[2:] == size else adaptive_avg_pool2d(student, size)  # (B, C_s, H, W)
        teacher = teacher if teacher.shape[2:] == size else adaptive_avg_pool2d(teacher, size)  # (B, C_t, H, W)
        return 0.5 * mse_loss(outputs.projector(student), teacher)


def _as_map(features: Tensor) -> Tensor:
    return features if features.ndim == 4 else features[:, :, None, None]
