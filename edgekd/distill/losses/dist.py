"""DIST, correlation of the probabilities per sample and per class: Huang et al. 2022.

With p = softmax(t / T) and q = softmax(s / T), both (B, K), and Pearson's correlation r of two vectors of n values with
means m_u and m_v, the cosine of the centred vectors:

    r(u, v) = sum (u - m_u) (v - m_v) / (d_u d_v),        d_u = max(||u - m_u||, sqrt(n) f m_u),  f = 0.04 / T

    inter = 1 - mean over samples b of  r(q_b:, p_b:)        between classes: how one sample ranks them
    intra = 1 - mean over classes k of  r(q_:k, p_:k)        within a class: how it ranks the samples
    loss  = beta * inter + gamma * intra

Correlation ignores scale and shift, which leaves a stronger teacher's exact values aside. For the same reason there is
no T^2: to first order q is linear in s / T, so that the gradient's size does not depend on T (the authors' code
multiplies by T^2 nonetheless; the weight says the same). f is the relative spread of probabilities whose logits deviate
by 0.04, and not the paper's: without it the gradient grows without bound where a head starts at zero. One sample has no
relations within a class: intra is 0 then.

Huang, You, Wang, Qian, Xu 2022, Knowledge Distillation from A Stronger Teacher, https://arxiv.org/abs/2205.10536
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.distill.loss import Loss, Outputs
from edgekd.distill.ramp import Temperature, value_at
from edgekd.distill.require import teacher_logits

if TYPE_CHECKING:
    from torch import Tensor


# Logits that deviate less say little, and correlation would make much of it.
LEAST_DEVIATION = 0.04


class Dist(Loss):
    """One minus the Pearson correlation of the probabilities, per sample and per class: Huang et al. 2022.

    Attributes:
        beta: factor of the relations between classes.
        gamma: factor of the relations within each class.
        temperature: softens both distributions.
    """

    compares_classes: ClassVar[bool] = True
    beta: float = Field(default=2.0, ge=0)
    gamma: float = Field(default=2.0, ge=0)
    temperature: Temperature = 4.0

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        temperature = value_at(self.temperature, outputs.progress)
        target = (teacher_logits(outputs, "dist") / temperature).softmax(1)  # (B, K)
        student = (outputs.student / temperature).softmax(1)  # (B, K)
        floor = LEAST_DEVIATION / temperature
        inter = 1 - _correlation(student, target, floor, dim=1).mean()
        if len(student) < 2:
            return self.beta * inter
        return self.beta * inter + self.gamma * (1 - _correlation(student, target, floor, dim=0).mean())


def _correlation(left: Tensor, right: Tensor, floor: float, dim: int) -> Tensor:
    (left, d_left), (right, d_right) = _centred(left, floor, dim), _centred(right, floor, dim)
    return (left * right).sum(dim) / (d_left * d_right)


def _centred(values: Tensor, floor: float, dim: int) -> tuple[Tensor, Tensor]:
    """The values about their mean, and d."""
    mean = values.mean(dim, keepdim=True)
    centred = values - mean
    least = (floor * mean.squeeze(dim)).square() * values.shape[dim]
    return centred, centred.square().sum(dim).maximum(least).sqrt()
