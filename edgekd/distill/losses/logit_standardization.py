"""Logit standardization, softmax of z-scored logits: Sun et al. 2024.

Each sample's logits become z-scores before the softmax, so that each has its own temperature, the standard deviation
of its logits; T is the base temperature on top:

    Z(z) = (z - mean_k z_k) / max(0.1, sqrt(mean_k (z_k - mean z)^2))
    loss = T^2 * mean over the batch of  KL(softmax(Z(t) / T) || softmax(Z(s) / T))

Any student whose logits are a * t + b with a > 0 has loss 0: a small network need not reach the teacher's range. The
least deviation, 0.1, is not the paper's: without it the gradient grows without bound where a head starts at zero, and
constant logits have none. The authors weigh the term by 9 at T = 2
(an unstandardized `kl` by 0.9), as z-scores at T = 2 leave small gradients.

Sun, Ren, Li, Wang, Cao 2024, Logit Standardization in Knowledge Distillation, https://arxiv.org/abs/2403.01427
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from edgekd.distill.loss import Loss, Outputs
from edgekd.distill.ramp import Temperature, Weight, value_at
from edgekd.distill.require import teacher_logits

if TYPE_CHECKING:
    from torch import Tensor


# Below this deviation logits say little, and z-scores would make much of it.
LEAST_DEVIATION = 0.1


class LogitStandardization(Loss):
    """KL(teacher || student) of z-scored logits, times the base temperature squared: Sun et al. 2024.

    Attributes:
        temperature: base temperature, of z-scores: of the order of 1 whatever the range of the logits.
    """

    compares_classes: ClassVar[bool] = True
    weight: Weight = 9.0
    temperature: Temperature = 2.0

    def softening(self) -> None:
        """Nothing: the temperature divides z-scores."""

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import kl_div

        temperature = value_at(self.temperature, outputs.progress)
        target = (_standardized(teacher_logits(outputs, "logit_standardization")) / temperature).log_softmax(1)
        student = (_standardized(outputs.student) / temperature).log_softmax(1)  # (B, K)
        return kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2


def _standardized(logits: Tensor) -> Tensor:
    centred = logits - logits.mean(1, keepdim=True)
    return centred * centred.pow(2).mean(1, keepdim=True).clamp_min(LEAST_DEVIATION**2).rsqrt()
