"""Attention transfer (AT), the student looks where the teacher looks: Zagoruyko, Komodakis 2017.

The attention map of a feature map F (B, C, H, W) is the mean over channels of its squares, flattened and normalised:

    a(F) = vec(mean_c F_c^2) / || vec(mean_c F_c^2) ||_2                (B, H * W)
    loss = sum over the pairs of layers of  mean over batch and pixels of  (a(F_s) - a(F_t))^2

Where the maps differ in size, the larger one is averaged down (adaptive average pooling) before it is squared. This is
the form of the authors' code (github.com/szagoruyko/attention-transfer), which weighs it by beta = 1000: the mean over
pixels of squared differences of unit vectors is a small number.

Zagoruyko, Komodakis 2017, Paying More Attention to Attention, https://arxiv.org/abs/1612.03928, equation 2
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekd.distill.layer_maps import PairLoss
from edgekd.distill.loss import Outputs, Shapes
from edgekd.distill.ramp import Weight

if TYPE_CHECKING:
    from torch import Tensor, nn


class Attention(PairLoss):
    """Squared distance between normalised spatial attention maps: Zagoruyko, Komodakis 2017.

    Attributes:
        pairs: layers to compare, e.g. `{layer2: layer2, layer3: layer3}` or `uniform`.
    """

    weight: Weight = 1000.0

    def build(self, shapes: Shapes) -> nn.Module | None:
        """Nothing to learn; checks that every layer has spatial extent."""
        from edgekd.distill.feature_maps import MAPS, check_pairs

        check_pairs("attention", self.compared(), shapes, (MAPS,))
        return None

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import mse_loss

        from edgekd.distill.feature_maps import map_pairs, pooled

        found = [pooled(student, teacher) for student, teacher in map_pairs(self.compared(), outputs)]
        terms = [mse_loss(_attention(student), _attention(teacher)) for student, teacher in found]
        return sum(terms[1:], terms[0])


def _attention(features: Tensor) -> Tensor:
    from torch.nn.functional import normalize

    return normalize(features.pow(2).mean(1).flatten(1), dim=1)  # (B, H * W)
