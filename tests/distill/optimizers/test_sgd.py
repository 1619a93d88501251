"""SGD against the docstring's formula."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from edgekd.distill.optimizer import OPTIMIZERS


@pytest.mark.parametrize("nesterov", [True, False])
def test_three_steps_by_hand(nesterov: bool) -> None:
    method = OPTIMIZERS.parse({"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": nesterov}})
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = method.build([{"params": [weight], "weight_decay": 0.5}])
    w, v = 2.0, 0.0
    for gradient in (1.0, -2.0, 0.5):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        g = gradient + 0.5 * w
        v = 0.9 * v + g
        w -= 0.1 * (g + 0.9 * v if nesterov else v)
        assert float(weight.detach()) == pytest.approx(w, rel=1e-6)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov"):
        OPTIMIZERS.load("sgd").model_validate({"momentum": 0})
