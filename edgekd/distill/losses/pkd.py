"""Patient knowledge distillation (PKD), inner [CLS] states become the teacher's: Sun et al. 2019.

With the hidden state h (B, D) of the first token after each mapped block, and a learned matrix W where the widths
differ (the identity otherwise; the paper's students are as wide as their teachers):

    loss = mean over the batch, the pairs of blocks and the widths of  (h_s W / ||h_s W|| - h_t / ||h_t||)^2

The paper sums where its code (github.com/intersun/PKD-for-BERT-Model-Compression) takes this mean, which its weights
beta = 10 to 1000 go with. `skip` learns from every n-th teacher block, `last` from the last ones. The student's last
block, whose state the classifier and hence `kl` read, takes no part in them.

Sun, Cheng, Gan, Liu 2019, Patient Knowledge Distillation for BERT Model Compression, https://arxiv.org/abs/1908.09355,
section 3.2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from edgekd.distill.layer_maps import LayerMap, PairLoss, Rule
from edgekd.distill.loss import Layers, Outputs, Shapes
from edgekd.distill.ramp import Weight
from edgekd.distill.require import projector
from edgekd.distill.vectors import projection, token_widths, unit
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Pkd(PairLoss):
    """Direction of the first token's state after the inner blocks: Sun, Cheng, Gan, Liu 2019.

    Attributes:
        pairs: `skip`, `last`, another rule, or pairs of blocks.
    """

    weight: Weight = 100.0
    pairs: LayerMap = Rule(rule="skip")

    def resolve(self, layers: Layers) -> Self:
        """With the pairs of blocks; a rule leaves the student's last block out."""
        resolved = super().resolve(layers)
        if not isinstance(self.pairs, Rule):
            return resolved
        found = list(resolved.compared().items())[:-1]
        if not found:
            raise ModelError(
                "the loss 'pkd' compares the blocks before the student's last",
                received="a student of one block",
                accepted="2 blocks or more, or pairs {student block: teacher block}",
            )
        return self.model_copy(update={"pairs": dict(found)})

    def build(self, shapes: Shapes) -> nn.Module:
        """One matrix D_s -> D_t for all blocks."""
        return projection(*token_widths(shapes, "pkd", self.compared().items()))

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        import torch
        from torch.nn.functional import mse_loss

        found = self.compared().items()
        student = torch.stack([outputs.student_taps[left][:, 0] for left, _ in found])  # (L, B, D_s)
        teacher = torch.stack([outputs.teacher_taps[right][:, 0] for _, right in found])  # (L, B, D_t)
        return mse_loss(unit(projector(outputs, "pkd")(student)), unit(teacher))
