"""Attention transfer: the student looks where the teacher looks.

The attention map of a feature map F (B, C, H, W) is the mean over channels of its squares, flattened and normalised:

    a(F) = vec(mean_c F_c^2) / || vec(mean_c F_c^2) ||_2                (B, H * W)
    loss = sum over the pairs of layers of  mean over batch and pixels of  (a(F_s) - a(F_t))^2

Where the maps differ in size, the larger one is averaged down (adaptive average pooling) before it is squared. This is
the form of the authors' code (github.com/szagoruyko/attention-transfer), which weighs it by beta = 1000: the mean over
pixels of squared differences of unit vectors is a small number.

Zagoruyko, Komodakis 2017, Paying More Attention to Attention, https://arxiv.org/abs/1612.03928, equation 2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.distill.loss import Loss, Outputs, Shapes
from edgekd.distill.ramp import Weight
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Attention(Loss):
    """Squared distance between normalised spatial attention maps.

    Attributes:
        pairs: layers to compare, student's module name to teacher's, e.g. `{layer2: layer2, layer3: layer3}`.
    """

    looks_inside: ClassVar[bool] = True
    weight: Weight = 1000.0
    pairs: dict[str, str] = Field(min_length=1)

    def taps(self) -> tuple[list[str], list[str]]:
        """The layers of all pairs."""
        return list(self.pairs), list(self.pairs.values())

    def build(self, shapes: Shapes) -> nn.Module | None:
        """Nothing to learn; checks that every layer has spatial extent."""
        for left, right in self.pairs.items():
            if len(shapes.student[left]) != 4 or len(shapes.teacher[right]) != 4:
                raise ModelError(
                    "the loss 'attention' compares feature maps (B, C, H, W)",
                    where=f"student '{left}', teacher '{right}'",
                    received=f"{shapes.student[left]} and {shapes.teacher[right]}",
                )
        return None

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import mse_loss

        terms: list[Tensor] = []
        for left, right in self.pairs.items():
            student, teacher = outputs.student_taps[left], outputs.teacher_taps[right]
            size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
            terms.append(mse_loss(_attention(student, size), _attention(teacher, size)))
        return sum(terms[1:], terms[0])


def _attention(features: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn.functional import adaptive_avg_pool2d, normalize

    features = features if features.shape[2:] == size else adaptive_avg_pool2d(features, size)
    return normalize(features.pow(2).mean(1).flatten(1), dim=1)  # (B, H * W)
