"""AdamW against the docstring's formula."""

from __future__ import annotations

import math

import pytest
import torch

from edgekd.distill.optimizer import OPTIMIZERS


def test_three_steps_by_hand() -> None:
    method = OPTIMIZERS.parse({"adamw": {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-6}})
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = method.build([{"params": [weight], "weight_decay": 0.5}])
    w, m, v = 2.0, 0.0, 0.0
    for t, g in enumerate((1.0, -2.0, 0.5), 1):
        weight.grad = torch.tensor([g])
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        w -= 0.1 * (m / (1 - 0.8**t) / (math.sqrt(v / (1 - 0.9**t)) + 1e-6) + 0.5 * w)
        assert float(weight.detach()) == pytest.approx(w, rel=1e-5)
