"""Low-rank projection between features of different width: Miles, Mikolajczyk 2024, factorised.

Student and teacher features become rows, one per sample, pixel or real token: Z_s (N, C_s), Z_t (N, C_t). A linear
projector W maps the student's width to the teacher's, batch normalisation N without learned scale puts both on the
same one, and the soft maximum of the errors is made small:

    D    = N(Z_s W) - N(Z_t)                                    (N, C_t)
    loss = log(1 + sum over all elements of |D|^4),   summed over the pairs of layers

This is the recipe of Miles and Mikolajczyk (linear projector, batch normalisation, soft maximum), whose projector is
one full matrix that, as they show, remembers past samples and so teaches their relations. Factorising it, W = U V with
U (C_s, r) and V (r, C_t), is not in the paper: it bounds the rank of what is compared and takes r * (C_s + C_t) weights
in place of C_s * C_t. The added 1 (the paper takes the bare logarithm) keeps the loss at 0, not -inf, for equal
features; next to a sum over a batch it is nothing. Maps of different size: the larger is averaged down.

Miles, Mikolajczyk 2024, Understanding the Role of the Projector in Knowledge Distillation,
https://arxiv.org/abs/2303.11098
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.distill.layer_maps import PairLoss
from edgekd.distill.loss import Outputs, Shapes
from edgekd.distill.require import projector

if TYPE_CHECKING:
    from torch import Tensor, nn


class LowRank(PairLoss):
    """Soft maximum of normalised features' errors, through a projector of rank r: Miles, Mikolajczyk 2024.

    Attributes:
        pairs: layers to compare: `{student layer: teacher layer}`, `uniform`, `last` or `skip`.
        rank: r; None takes half of the smaller width.
    """

    takes_half: ClassVar[bool] = True
    rank: int | None = Field(default=None, ge=1)

    def build(self, shapes: Shapes) -> nn.Module:
        """U and V of every pair, as 1x1 convolutions without bias (batch normalisation would remove it)."""
        from torch import nn

        from edgekd.distill.feature_maps import FLAT, MAPS, TOKENS, channels, check_pairs
        from edgekd.errors import ModelError

        compared = self.compared()
        check_pairs("low_rank", compared, shapes, (MAPS, FLAT, TOKENS))
        projectors: list[nn.Module] = []
        for left, right in compared.items():
            student, teacher = channels(shapes.student[left]), channels(shapes.teacher[right])
            rank = self.rank or max(1, min(student, teacher) // 2)
            if rank > min(student, teacher):
                raise ModelError(
                    "the rank of the loss 'low_rank' is above the width of a layer",
                    where=f"student '{left}', teacher '{right}'",
                    received=f"rank {rank}, widths {student} and {teacher}",
                    accepted=f"rank up to {min(student, teacher)}",
                )
            projectors.append(
                nn.Sequential(nn.Conv2d(student, rank, 1, bias=False), nn.Conv2d(rank, teacher, 1, bias=False))
            )
        return nn.ModuleList(projectors)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from edgekd.distill.feature_maps import in_float32, map_pairs, pooled, precision_of, sum_of_squares

        terms: list[Tensor] = []
        found = zip(projector(outputs, "low_rank").children(), map_pairs(self.compared(), outputs), strict=True)
        for low_rank, (student, teacher) in found:
            left, right = pooled(student, teacher)
            with precision_of(student):
                left, right = _normalised(low_rank(left)), _normalised(right)
            difference = in_float32(left - right)
            terms.append(sum_of_squares(difference.square()).log1p())
        return sum(terms[1:], terms[0])


def _normalised(features: Tensor) -> Tensor:
    """Zero mean and unit variance per channel; of a single row, or of none, zero."""
    from torch.nn.functional import batch_norm

    if features.numel() <= features.shape[1]:
        return features - features
    return batch_norm(features, None, None, training=True, eps=1e-4)
