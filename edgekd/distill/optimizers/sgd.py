"""Stochastic gradient descent with momentum.

    v <- momentum * v + g + weight_decay * w
    w <- w - lr * (g + weight_decay * w + momentum * v)     with nesterov
    w <- w - lr * v                                         without

Sutskever et al. 2013, On the importance of initialization and momentum in deep learning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from edgekd.distill.optimizer import Optimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


class Sgd(Optimizer):
    """SGD.

    Attributes:
        lr: peak learning rate.
        momentum: share of the previous step's direction that is kept.
        nesterov: looks ahead along the momentum.
        weight_decay: L2 pull on weights; never applied to biases and normalisation parameters.
    """

    lr: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0; set nesterov: false")
        return self

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """`torch.optim.SGD`, one fused update for all parameters."""
        import torch

        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=True)
