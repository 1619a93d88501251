"""Cross-entropy with the teacher's soft labels: Hinton, Vinyals, Dean 2015; Ba, Caruana 2014.

With teacher logits t, student logits s and temperature T:

    p = softmax(t / T),   q = softmax(s / T)
    loss = -T^2 * mean over the batch of  sum_k p_k * log q_k

It differs from `kl` by T^2 times the entropy of p, which does not depend on the student: the gradients are the same,
T * (q_k - p_k) in s_k. The value is not: at q = p it is the teacher's entropy, not 0, so that its minimum over a
training says how soft the labels are. T^2 keeps the size of the gradient independent of the temperature.

Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, https://arxiv.org/abs/1503.02531; learning
from a larger network's outputs: Ba, Caruana 2014, Do Deep Nets Really Need to be Deep?, https://arxiv.org/abs/1312.6184
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from edgekd.distill.loss import Loss, Outputs
from edgekd.distill.ramp import Temperature, value_at
from edgekd.distill.require import teacher_logits

if TYPE_CHECKING:
    from torch import Tensor


class SoftCrossEntropy(Loss):
    """Cross-entropy between teacher and student at a temperature, times its square: Hinton, Vinyals, Dean 2015.

    Attributes:
        temperature: softens both distributions.
    """

    compares_classes: ClassVar[bool] = True
    temperature: Temperature = 4.0

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import cross_entropy

        temperature = value_at(self.temperature, outputs.progress)
        target = (teacher_logits(outputs, "soft_ce") / temperature).softmax(dim=1)  # (B, K)
        return cross_entropy(outputs.student / temperature, target) * temperature**2
