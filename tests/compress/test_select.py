from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekd.compress.fold import fold
from edgekd.compress.operators import (
    BETWEEN_FLOATS,
    COMPUTED_WEIGHT,
    CONSTANT_OPERAND,
    FLOAT_INPUTS,
    NO_KERNEL,
    ON_REQUEST,
)
from edgekd.compress.select import select
from edgekd.errors import CompressError


def reasons(program, keep=()) -> dict[str, str]:
    return {kept.layer: kept.reason for kept in select(program, keep).kept_float}


def test_everything_is_listed_once(program):
    selection = select(program, [])
    layers = program.layers()
    assert [layers[name] for name in selection.quantized] == [
        "stem.0",
        "stem.2",
        "conv",
        "add",
        "relu",
        "pool",
        "head",
    ]
    assert len(selection.quantized) + len(selection.kept_float) == len(layers)
    assert reasons(program) == {"act": NO_KERNEL, "mean": FLOAT_INPUTS}


@pytest.mark.parametrize("pattern", ["stem.0", "conv2d", "stem.[0]"])
def test_a_layer_kept_by_either_name_and_what_follows_it(program, pattern: str):
    found = reasons(program, [pattern])
    assert found["stem.0"] == ON_REQUEST
    assert found["stem.2"] == FLOAT_INPUTS
    assert "conv" not in found and "add" not in found


def test_a_pattern_with_a_wildcard(program):
    assert set(reasons(program, ["stem.*"])) >= {"stem.0", "stem.2"}


def test_a_pattern_that_matches_nothing_offers_the_nearest(program):
    with pytest.raises(CompressError, match=r"did you mean 'stem\.0'") as caught:
        select(program, ["stem.00"])
    assert "stem.00" in str(caught.value) and "head" in str(caught.value)


def test_nothing_left_to_quantize(program):
    with pytest.raises(CompressError, match="left to quantize"):
        select(program, ["*"])


def test_padding_of_the_input_goes_with_the_layer_that_reads_it():
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return self.conv(self.stem(nn.functional.pad(x, (0, 1, 0, 1)))).mean((2, 3))

    program = fold(Padded(), (torch.randn(2, 3, 4, 4),))
    assert reasons(program) == {}
    assert reasons(program, ["stem"]) == {"pad": FLOAT_INPUTS, "stem": ON_REQUEST}


def test_reasons_of_operators_outside():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 4)
            self.norm = nn.LayerNorm(4)
            self.raw = nn.Parameter(torch.randn(4, 4, 1, 1))
            self.gain = nn.Parameter(torch.randn(4))

        def forward(self, x):
            y = self.conv(x)
            y = nn.functional.conv2d(y, torch.tanh(self.raw))
            y = self.head(self.norm(y.mean((2, 3))))
            return torch.softmax(torch.sin(y) * self.gain, dim=1)

    found = reasons(fold(Odd(), (torch.randn(2, 3, 4, 4),)))
    by_operator = {layer.split(".")[-1].split("_")[0]: reason for layer, reason in found.items()}
    assert by_operator["conv2d"] == COMPUTED_WEIGHT
    assert by_operator["norm"].startswith("layer normalisation")
    assert by_operator["mul"] == CONSTANT_OPERAND
    assert by_operator["softmax"].startswith("softmax")
    assert by_operator["mean"] == FLOAT_INPUTS
    assert "head" not in found and "conv" not in found


@pytest.mark.parametrize("first", [True, False], ids=["normalises first", "normalises last"])
def test_the_residual_stream_of_a_transformer_stays_in_float(first: bool):
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.narrow(torch.relu(self.wide(self.norm(x) if first else x)))
            return x + y if first else self.norm(x + y)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start, self.blocks, self.end = nn.LayerNorm(8), nn.Sequential(Block(), Block()), nn.LayerNorm(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.end(self.blocks(self.start(x.flatten(2).mT)))  # (B, tokens, C)

    program = fold(Encoder().eval(), (torch.randn(2, 8, 2, 3),))
    selection = select(program, [])
    assert [kept.reason for kept in selection.kept_float].count(BETWEEN_FLOATS) == 2
    operators = program.operators()
    assert [operators[name] for name in selection.quantized] == ["linear", "relu", "linear"] * 2
