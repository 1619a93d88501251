"""Knowledge review (ReviewKD), the teacher's early layers also teach the student's later ones: Chen et al. 2021.

The pairs of layers are walked from the deepest to the shallowest, each handing on a residual y to the next. At each,
with student map F_s, teacher map F_t (H_t x W_t), convolutions with batch normalisation c1 (1x1, to the common width M)
and c3 (3x3, to the teacher's width), attention based fusion (ABF) makes the map that is compared:

    x    = c1(F_s)                                                       (B, M, H_s, W_s)
    a, b = sigmoid(1x1 convolution of [x, up(y)])                        (B, 1, H_s, W_s) each
    y    = to the teacher's size: a * x + b * up(y)      (at the deepest pair: x)
    loss = sum over the pairs of  HCL(c3(y), F_t)

up and "to the teacher's size" take the nearest pixel. The hierarchical context loss (HCL) compares the maps as they are
and averaged down to 4x4, 2x2 and 1x1, as far as these are smaller, with half the weight each time:

    HCL(S, T) = sum_l w_l * mean (S_l - T_l)^2 / sum_l w_l,   w = 1, 1/2, 1/4, 1/8

M is the deepest student layer's width, at most 512. Flat features (B, C) are maps of 1x1: the authors take the pooled
ones as the deepest pair, and raise the weight from 0 to its value over the first 20 of 240 epochs.

Chen, Liu, Zhao, Jia 2021, Distilling Knowledge via Knowledge Review, https://arxiv.org/abs/2104.09044
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from edgekd.distill.layer_maps import PairLoss
from edgekd.distill.loss import Outputs, Shapes
from edgekd.distill.require import projector

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDEST = 512


class Review(PairLoss):
    """Hierarchical context loss of maps that are fused from the deepest to the shallowest: Chen et al. 2021.

    Attributes:
        pairs: layers to compare, from the shallowest to the deepest: `{student layer: teacher layer}` or a rule.
    """

    takes_half: ClassVar[bool] = True

    def build(self, shapes: Shapes) -> nn.Module:
        """c1, c3 and, but for the deepest pair, the attention convolution of every pair."""
        from torch import nn

        from edgekd.distill.feature_maps import FLAT, MAPS, check_pairs

        compared = self.compared()
        check_pairs("review", compared, shapes, (MAPS, FLAT))
        deepest = list(compared)[-1]
        width = min(WIDEST, shapes.student[deepest][1])
        fusions: list[nn.Module] = []
        for left, right in compared.items():
            parts = [_normed(shapes.student[left][1], width, 1), _normed(width, shapes.teacher[right][1], 3)]
            if left != deepest:
                parts.append(nn.Conv2d(2 * width, 2, 1))
            fusions.append(nn.ModuleList(parts))
        return nn.ModuleList(fusions)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formulas above."""
        from edgekd.distill.feature_maps import apply, in_float32, map_pairs, precision_of

        terms: list[Tensor] = []
        residual: Tensor | None = None
        fusions = list(projector(outputs, "review").children())
        pairs = map_pairs(self.compared(), outputs)
        for fusion, (student, teacher) in zip(reversed(fusions), reversed(pairs), strict=True):
            narrow, wide, *attention = fusion.children()
            with precision_of(student):
                x = apply(narrow, student)  # (B, M, H_s, W_s)
                if residual is not None:
                    x = _fused(x, residual, attention[0])
                residual = _resized(x, teacher)  # (B, M, H_t, W_t)
                made = apply(wide, residual)
            terms.append(_context_loss(in_float32(made), in_float32(teacher)))
        return sum(terms[1:], terms[0])


def _normed(source: int, target: int, kernel: int) -> nn.Module:
    from torch import nn

    conv = nn.Conv2d(source, target, kernel, padding=kernel // 2, bias=False)
    cast(Any, nn.init).kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.BatchNorm2d(target))


def _fused(x: Tensor, residual: Tensor, attention: nn.Module) -> Tensor:
    """a * x + b * up(y). The convolution of [x, up(y)] is that of x plus, enlarged, that of the smaller y."""
    from torch.nn.functional import conv2d

    conv, width = cast("nn.Conv2d", attention), x.shape[1]
    of_x, of_y = conv.weight[:, :width], conv.weight[:, width:]
    gates = (conv2d(x, of_x, conv.bias) + _resized(conv2d(residual, of_y), x)).sigmoid()  # (B, 2, H_s, W_s)
    return gates[:, :1] * x + gates[:, 1:] * _resized(residual, x)


def _resized(features: Tensor, like: Tensor) -> Tensor:
    from torch.nn.functional import interpolate

    return features if features.shape[2:] == like.shape[2:] else interpolate(features, like.shape[2:], mode="nearest")


def _context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    from torch.nn.functional import adaptive_avg_pool2d

    difference = student - teacher  # pooling is linear: the pooled maps' difference is the pooled difference
    loss, weight, total = difference.pow(2).mean(), 1.0, 1.0
    for size in (4, 2, 1):
        if size < min(difference.shape[2:]):
            weight /= 2
            total += weight
            loss = loss + weight * adaptive_avg_pool2d(difference, size).pow(2).mean()
    return loss / total
