"""Adapting ready-made classifiers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekd.errors import ModelError
from edgekd.models.adapt import adapt_channels, adapt_classes


def network() -> nn.Sequential:
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1)), nn.Flatten(), nn.Linear(64, 10))


def test_grey_gives_what_equal_colours_gave() -> None:
    model, grey = network(), torch.randn(2, 1, 8, 8)
    expected = model(grey.expand(2, 3, 8, 8))
    stream = torch.get_rng_state()
    adapt_channels(model, 1)
    assert torch.equal(torch.get_rng_state(), stream)
    torch.testing.assert_close(model(grey), expected, rtol=1e-4, atol=1e-5)
    assert model[0][0].stride == (2, 2) and model[0][0].in_channels == 1


def test_colour_from_grey_and_nothing_to_do() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False))
    grey = torch.randn(2, 1, 8, 8)
    expected = model(grey)
    adapt_channels(model, 3)
    torch.testing.assert_close(model(grey.expand(2, 3, 8, 8)), expected, rtol=1e-4, atol=1e-5)
    before = model[0]
    adapt_channels(model, 3)
    assert model[0] is before


def test_heads() -> None:
    model = network()
    adapt_classes(model, 10)
    kept = model[2]
    adapt_classes(model, 4)
    assert model[2] is not kept and model(torch.zeros(1, 3, 8, 8)).shape == (1, 4)
    convolutional = nn.Sequential(nn.Conv2d(3, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    adapt_classes(convolutional, 4)
    assert convolutional(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


def test_refusals() -> None:
    with pytest.raises(ModelError, match="no convolution"):
        adapt_channels(nn.Linear(3, 3), 1)
    with pytest.raises(ModelError, match="grouped"):
        adapt_channels(nn.Sequential(nn.Conv2d(3, 3, 3, groups=3)), 1)
    with pytest.raises(ModelError, match="no head"):
        adapt_classes(nn.ReLU(), 4)
