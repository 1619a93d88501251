"""Similarity-preserving distillation (SPKD): samples alike for the teacher stay alike for the student: Tung, Mori 2019.

With a layer's activations of a batch flattened to A (B, C H W):

    G~ = A A^T,   G[i, :] = G~[i, :] / ||G~[i, :]||_2                                  (B, B)
    loss = 1 / B^2 * sum over the pairs of layers of  ||G_t - G_s||_F^2

Shapes of the two layers may differ. Tokens are flattened with zeros at the padding. The weight 3000 is the paper's, as
is the last block's map as the layer; of the outputs, whose similarities differ more, it makes a very large loss.

Tung, Mori 2019, Similarity-Preserving Knowledge Distillation, https://arxiv.org/abs/1907.09682, equations 1 to 4
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from edgekd.distill.layer_maps import LayerMap, explicit, last_blocks, pairs
from edgekd.distill.loss import Layers, Loss, Outputs
from edgekd.distill.ramp import Weight
from edgekd.distill.vectors import OUTPUTS, feature_pair, unit, without_padding

if TYPE_CHECKING:
    from torch import Tensor


BETWEEN_OUTPUTS = {OUTPUTS: OUTPUTS}


class Similarity(Loss):
    """Similarity of every two samples of a batch: Tung, Mori 2019.

    Attributes:
        pairs: layers to compare, as pairs or a rule; null takes the last block of each network, `{outputs: outputs}`
            what the networks put out.
    """

    weight: Weight = 3000.0
    pairs: LayerMap | None = None

    def resolve(self, layers: Layers) -> Self:
        """The loss with its pairs spelled out."""
        found = [last_blocks(layers)] if self.pairs is None else pairs(self.pairs, layers)
        return self.model_copy(update={"pairs": dict(found)})

    def compares_layers(self) -> bool:
        """Unless it compares the outputs."""
        return self.pairs != BETWEEN_OUTPUTS

    def taps(self) -> tuple[list[str], list[str]]:
        """The layers of all pairs."""
        found = explicit(self.pairs or {})
        return ([], []) if found == BETWEEN_OUTPUTS else (list(found), list(found.values()))

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import mse_loss

        mask = outputs.mask
        compared = zip(*self.taps(), strict=True)
        found = [(outputs.student_taps[left], outputs.teacher_taps[right]) for left, right in compared]
        found = found or [feature_pair(outputs, "similarity", None, None)]
        terms = [mse_loss(_similarity(left, mask), _similarity(right, mask)) for left, right in found]
        return sum(terms[1:], terms[0])


def _similarity(features: Tensor, mask: Tensor | None) -> Tensor:
    if features.ndim == 4:
        features = features.movedim(1, -1)  # as training lays maps out in memory: nothing is copied
    flat = (without_padding(features, mask) if features.ndim == 3 else features).flatten(1)  # (B, D)
    return unit(flat @ flat.T)  # (B, B)
