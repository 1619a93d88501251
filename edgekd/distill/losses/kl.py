"""Knowledge distillation (KD), divergence from the teacher's softened probabilities: Hinton, Vinyals, Dean 2015.

With teacher logits t, student logits s and temperature T:

    p = softmax(t / T),   q = softmax(s / T)
    loss = T^2 * mean over the batch of  sum_k p_k * (log p_k - log q_k)

The gradient in s_k is T * (q_k - p_k), where q - p itself shrinks like 1 / T: the factor T^2 keeps its size independent
of the temperature, so that the weights of the terms keep their meaning when T changes.

Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, https://arxiv.org/abs/1503.02531
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from edgekd.distill.loss import Loss, Outputs
from edgekd.distill.ramp import Temperature, value_at
from edgekd.distill.require import teacher_logits

if TYPE_CHECKING:
    from torch import Tensor


class KullbackLeibler(Loss):
    """KL(teacher || student) at a temperature, times the temperature squared: Hinton, Vinyals, Dean 2015.

    Attributes:
        temperature: softens both distributions, a number or a ramp; the report's temperature table helps to choose it.
    """

    compares_classes: ClassVar[bool] = True
    temperature: Temperature = 4.0

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import kl_div, log_softmax

        temperature = value_at(self.temperature, outputs.progress)
        target = log_softmax(teacher_logits(outputs, "kl") / temperature, dim=1)  # (B, K)
        student = log_softmax(outputs.student / temperature, dim=1)  # (B, K)
        return kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2
