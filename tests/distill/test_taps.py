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


def test_the_first_tensor_of_a_tuple_is_caught() -> None:
    model, x = nn.Sequential(nn.LSTM(4, 3)), torch.randn(5, 4)
    with Taps(model, ["0"], "student") as taps:
        sequence, _ = model(x)
        assert taps.values["0"] is sequence


def test_the_first_tensor_of_a_transformers_output_is_caught() -> None:
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)).eval()
    with Taps(model, ["encoder", "encoder.layer.0.attention.self"], "student") as taps:
        found = model(torch.arange(6).view(2, 3))
        assert taps.values["encoder"] is found.last_hidden_state
        assert taps.values["encoder.layer.0.attention.self"].shape == (2, 3, 8)


@pytest.mark.parametrize("output", [{"x": torch.zeros(2)}, (None, torch.zeros(2)), ()])
def test_a_layer_without_a_first_tensor_is_refused(output: object) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            return output

    model = nn.Sequential(Odd())
    with Taps(model, ["0"], "student"), pytest.raises(ModelError, match="does not put out a tensor"):
        model(torch.randn(5, 4))
