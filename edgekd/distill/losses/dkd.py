"""Decoupled knowledge distillation (DKD), the label's class and the others weighed apart: Zhao et al. 2022.

With p = softmax(t / T) of the teacher, q = softmax(s / T) of the student, label y, and p^, q^ the distributions among
the other classes, p^_k = p_k / (1 - p_y) for k != y:

    TCKD = KL((p_y, 1 - p_y) || (q_y, 1 - q_y))              target class: is it y, or not
    NCKD = KL(p^ || q^)                                      non-target classes
    kl   = TCKD + (1 - p_y) * NCKD                           equation 6
    loss = T^2 * mean over the batch of  alpha * TCKD + beta * NCKD      equation 7

`kl` all but drops NCKD where the teacher is sure of the label; here beta alone decides. Samples without a label (-100)
are left out of the mean. Everything is computed from logits: with z_y and the logsumexp of the other logits as the two
logits of TCKD no probability underflows.

Zhao, Cui, Song, Qiu, Liang 2022, Decoupled Knowledge Distillation, https://arxiv.org/abs/2203.08679
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.distill.loss import IGNORED, Loss, Outputs
from edgekd.distill.ramp import Temperature, value_at
from edgekd.distill.require import teacher_logits

if TYPE_CHECKING:
    from torch import Tensor


class DecoupledKnowledgeDistillation(Loss):
    """KL of the label's class and KL among the others, times the temperature squared: Zhao et al. 2022.

    Attributes:
        alpha: factor of the target class's term.
        beta: factor of the other classes' term; the authors take 2 to 8 on CIFAR-100, more for a surer teacher.
        temperature: softens all distributions.
    """

    compares_classes: ClassVar[bool] = True
    alpha: float = Field(default=1.0, ge=0)
    beta: float = Field(default=8.0, ge=0)
    temperature: Temperature = 4.0

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import kl_div

        temperature = value_at(self.temperature, outputs.progress)
        kept = outputs.labels != IGNORED
        labels = outputs.labels[kept]
        target = _decoupled(teacher_logits(outputs, "dkd")[kept] / temperature, labels)
        student = _decoupled(outputs.student[kept] / temperature, labels)
        tckd, nckd = (kl_div(q, p, reduction="sum", log_target=True) for q, p in zip(student, target, strict=True))
        return (self.alpha * tckd + self.beta * nckd) * (temperature**2 / max(len(labels), 1))


def _decoupled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of (the label, any other class) `(B, 2)` and among the other classes `(B, K - 1)`."""
    import torch

    others = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(labels), -1)
    others = logits.gather(1, others + (others >= labels[:, None]))  # (B, K - 1): the row without its label
    binary = torch.cat([logits.gather(1, labels[:, None]), others.logsumexp(1, keepdim=True)], 1)  # (B, 2)
    return binary.log_softmax(1), others.log_softmax(1)
