"""Masked generative distillation (MGD), the teacher's map made from a masked student's: Yang et al. 2022.

With student map F_s, teacher map F_t (B, C_t, H, W), an align convolution f (1x1, C_s -> C_t), a random mask M and a
generation block G (3x3 convolution, ReLU, 3x3 convolution, C_t -> C_t):

    M_bij = 0 where R_bij < ratio, else 1,   R uniform on (0, 1)         (B, 1, H, W), anew in every step
    loss  = mean over all elements of  (G(f(F_s) * M) - F_t)^2,   summed over the pairs of layers

A pixel's neighbours must tell what was at it: the student learns features that represent their surroundings, rather
than to copy the teacher's; the paper takes the last stage. The mean over elements stands for the paper's sum over C, H
and W times 7e-5 (about the same for a last stage of 512 x 7 x 7). f is there for equal widths too. Maps of different
size: the larger is averaged down first. The mask is drawn from torch's generator, which is part of every checkpoint.

Yang, Li, Shao, Shi, Yuan, Yuan 2022, Masked Generative Distillation, https://arxiv.org/abs/2205.01529
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.distill.layer_maps import PairLoss
from edgekd.distill.loss import Outputs, Shapes
from edgekd.distill.require import projector

if TYPE_CHECKING:
    from torch import Tensor, nn


class MaskedGenerativeDistillation(PairLoss):
    """Squared error of the teacher's map as made from the student's masked one: Yang et al. 2022.

    Attributes:
        pairs: layers to compare: `{student layer: teacher layer}`, `uniform`, `last` or `skip`.
        ratio: share of the pixels that is masked.
    """

    takes_half: ClassVar[bool] = True
    ratio: float = Field(default=0.5, ge=0, lt=1)

    def build(self, shapes: Shapes) -> nn.Module:
        """f, and G, of every pair."""
        from torch import nn

        from edgekd.distill.feature_maps import MAPS, check_pairs

        check_pairs("mgd", self.compared(), shapes, (MAPS,))
        blocks: list[nn.Module] = []
        for left, right in self.compared().items():
            student, teacher = shapes.student[left][1], shapes.teacher[right][1]
            generation = nn.Sequential(
                nn.Conv2d(teacher, teacher, 3, padding=1), nn.ReLU(), nn.Conv2d(teacher, teacher, 3, padding=1)
            )
            blocks.append(nn.ModuleList([nn.Conv2d(student, teacher, 1), generation]))
        return nn.ModuleList(blocks)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        import torch

        from edgekd.distill.feature_maps import map_pairs, mean_square, pooled, precision_of

        terms: list[Tensor] = []
        found = zip(projector(outputs, "mgd").children(), map_pairs(self.compared(), outputs), strict=True)
        for block, (student, teacher) in found:
            align, generation = block.children()
            left, right = pooled(student, teacher)
            with precision_of(student):
                aligned = align(left)
                seen = torch.rand(len(left), 1, *left.shape[2:], device=left.device) >= self.ratio  # (B, 1, H, W)
                mask = torch.empty_like(aligned).copy_(seen)  # (B, C_t, H, W): a product that broadcasts is slow
                made = generation(aligned * mask)
            terms.append(mean_square(made, right))
        return sum(terms[1:], terms[0])
