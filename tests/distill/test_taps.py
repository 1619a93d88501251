"""Taps: what they catch and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekd.distill.taps import Taps
from edgekd.errors import ModelError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))


def test_catches_by_dotted_name_and_lets_go() -> None:
    model, x = network(), torch.randn(5, 4)
    with Taps(model, ["0", "1.0", "0"], "student") as taps:
        out = model(x)
        torch.testing.assert_close(taps.values["0"], model[0](x))
        torch.testing.assert_close(taps.values["1.0"], model[0](x).relu())
        assert taps.layers == ["0", "1.0"] and out.shape == (5, 2)
        kept = taps.values["0"]
    model(torch.randn(5, 4))
    assert taps.values["0"] is kept
    assert not any(module._forward_hooks for module in model.modules())


def test_a_wrong_name_lists_the_layers() -> None:
    with pytest.raises(ModelError, match=r"(?s)teacher has no layer '1\.2'.*did you mean.*0, 1, 1\.0, 1\.1"):
        Taps(network(), ["1.2"], "teacher")


def test_a_layer_with_several_outputs_is_refused() -> None:
    model = nn.Sequential(nn.LSTM(4, 3))
    with Taps(model, ["0"], "student"), pytest.raises(ModelError, match="does not put out one tensor"):
        model(torch.randn(5, 4))
