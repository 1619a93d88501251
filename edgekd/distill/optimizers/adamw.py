"""Adam with decoupled weight decay.

    m <- beta1 * m + (1 - beta1) * g
    v <- beta2 * v + (1 - beta2) * g^2
    w <- w - lr * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay * w)

Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from edgekd.distill.optimizer import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


class Adamw(Optimizer):
    """AdamW.

    Attributes:
        lr: peak learning rate.
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        epsilon: keeps the division finite.
        weight_decay: pull on weights; never applied to biases and normalisation parameters.
    """

    lr: float = Field(default=1e-3, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """`torch.optim.AdamW`, one fused update for all parameters."""
        import torch

        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.epsilon, fused=True)
