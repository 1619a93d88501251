"""Hint (FitNets), a student's features imitate a teacher's through a learned adapter: Romero et al. 2015.

With student map F_s (B, C_s, H_s, W_s), teacher map F_t (B, C_t, H_t, W_t) and adapter r, by default a 1x1 convolution
with bias, C_s -> C_t:

    loss = 1/2 * mean over all elements of  (r(size(F_s)) - size(F_t))^2,   summed over the pairs of layers

size brings both maps to one height and width, where the paper uses an unpadded convolution that shrinks the student's
map: `pool` averages the larger map down (adaptive average pooling), `interpolate` enlarges the smaller one (bilinear).
The mean over elements, in place of the paper's sum, keeps the weight's meaning over layers of different size. The
adapter is trained with the student and dropped afterwards.

Flat features (B, C) are maps of 1x1. Of tokens (B, T, C) every real one is a map of 1x1, so that r is a linear layer
and padding counts for nothing. With `normalize` both sides are scaled to unit length over the channels and the mean is
over positions, which makes the loss 1 - cos(r(F_s), F_t): directions alone are compared.

`adapter: teacher` maps C_t -> C_s instead: the student's features are then used as they are, but an adapter that learns
to be constant makes the task easy.

Romero et al. 2015, FitNets: Hints for Thin Deep Nets, https://arxiv.org/abs/1412.6550, equation 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from edgekd.distill.layer_maps import LayerMap, PairLoss
from edgekd.distill.loss import Outputs, Shapes
from edgekd.distill.require import projector

if TYPE_CHECKING:
    from torch import Tensor, nn


class Hint(PairLoss):
    """Mean squared error between layers, one side through a learned adapter: Romero et al. 2015.

    Attributes:
        student: name of the student's module, e.g. `layer2`; for several layers give `pairs` instead.
        teacher: name of the teacher's module.
        pairs: layers to compare: `{student layer: teacher layer}`, `uniform`, `last` or `skip`.
        adapter: the side that is projected to the other's width.
        adapter_form: a 1x1 convolution, or one followed by batch normalisation and ReLU (for targets after a ReLU).
        resize: how maps of different size are brought to one.
        normalize: compares directions only.
    """

    takes_half: ClassVar[bool] = True
    student: str | None = None
    teacher: str | None = None
    pairs: LayerMap = Field(default_factory=dict[str, str])
    adapter: Literal["student", "teacher"] = "student"
    adapter_form: Literal["conv", "conv_norm_relu"] = "conv"
    resize: Literal["pool", "interpolate"] = "pool"
    normalize: bool = False

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.student is None) != (self.teacher is None) or (self.student is None) != bool(self.pairs):
            raise ValueError("give 'student' and 'teacher', or 'pairs'")
        return self

    def compared(self) -> dict[str, str]:
        """The layers of either form."""
        return super().compared() if self.student is None or self.teacher is None else {self.student: self.teacher}

    def build(self, shapes: Shapes) -> nn.Module:
        """One adapter per pair."""
        from torch import nn

        from edgekd.distill.feature_maps import FLAT, MAPS, TOKENS, channels, check_pairs

        compared = self.compared()
        check_pairs("hint", compared, shapes, (MAPS, FLAT, TOKENS))
        adapters: list[nn.Module] = []
        for left, right in compared.items():
            source, target = channels(shapes.student[left]), channels(shapes.teacher[right])
            source, target = (source, target) if self.adapter == "student" else (target, source)
            conv = nn.Conv2d(source, target, kernel_size=1)
            normed = self.adapter_form == "conv_norm_relu"
            adapters.append(nn.Sequential(conv, nn.BatchNorm2d(target), nn.ReLU()) if normed else conv)
        return nn.ModuleList(adapters)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import normalize

        from edgekd.distill.feature_maps import (
            apply,
            enlarged,
            in_float32,
            map_pairs,
            mean_square,
            pooled,
            precision_of,
            sum_of_squares,
        )

        resized = pooled if self.resize == "pool" else enlarged
        terms: list[Tensor] = []
        adapters = projector(outputs, "hint").children()
        for adapter, (student, teacher) in zip(adapters, map_pairs(self.compared(), outputs), strict=True):
            left, right = resized(student, teacher)
            with precision_of(student):
                if self.adapter == "student":
                    left = apply(adapter, left)
                else:
                    right = apply(adapter, right)
            if self.normalize:
                left, right = normalize(in_float32(left)), normalize(in_float32(right))
                positions = max(1, left[:, 0].numel())
                terms.append(0.5 * sum_of_squares(left - right) / positions)
            else:
                terms.append(0.5 * mean_square(left, right))
        return sum(terms[1:], terms[0])
