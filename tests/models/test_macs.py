"""MACs: hand-computed numbers."""

from __future__ import annotations

import torch
from torch import nn

from edgekd.models.macs import macs


def test_layers_by_hand() -> None:
    assert macs(nn.Conv2d(3, 8, 3, padding=1, bias=True), [torch.zeros(1, 3, 10, 12)]) == 8 * 3 * 9 * 120
    assert macs(nn.Conv2d(8, 8, 3, stride=2, groups=8), [torch.zeros(1, 8, 9, 9)]) == 8 * 9 * 16
    assert macs(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), [torch.zeros(1, 3, 2, 2)]) == 60
    assert macs(nn.ReLU(), [torch.zeros(1, 3, 2, 2)]) == 0


def test_attention_by_hand() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    assert macs(Attention(), [torch.zeros(1, 2, 5, 7)]) == 2 * (
        2 * 5 * 5 * 7
    )  # two heads; scores, then the weighted sum


def test_multi_head_attention_by_hand() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x[0], x[0], x[0], need_weights=False)[0]

    tokens = 5
    projections = tokens * 8 * 24 + tokens * 8 * 8
    assert macs(Tokens(), [torch.zeros(1, 1, tokens, 8)]) == projections + 2 * tokens * tokens * 8
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    wrapped = nn.Sequential(nn.Flatten(0, 1), layer)
    assert macs(wrapped, [torch.zeros(1, 1, tokens, 8)]) == projections + 2 * tokens * tokens * 8 + 2 * tokens * 8 * 16


def test_leaves_the_model_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = model[1].running_mean.clone()
    macs(model, [torch.zeros(1, 3, 4, 4)])
    assert model.training and torch.equal(model[1].running_mean, before)
