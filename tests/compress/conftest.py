"""A small residual network that has every kind of operator that matters to compression."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekd.compress.fold import Program, fold


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.act = nn.Hardswish()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(self.norm(self.conv(x)) + x)
        x = self.act(self.pool(x)).mean((2, 3))
        return self.head(self.drop(x))


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Statistics and factors that make a forgotten or wrong folding visible."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 3)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias, 0, 0.5)
    return model


@pytest.fixture(scope="session")
def small() -> nn.Module:
    torch.manual_seed(0)
    return randomise(Small())


@pytest.fixture(scope="session")
def images() -> Tensor:
    return torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def program(small: nn.Module, images: Tensor) -> Program:
    return fold(small, (images[:8],))


@pytest.fixture(scope="session")
def randomised():
    return randomise
