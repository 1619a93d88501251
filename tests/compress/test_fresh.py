"""Tensors that a network makes and fills itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekd.compress.fold import fold
from edgekd.errors import CompressError


class Masked(nn.Module):
    """Reads the same tensor before and after it is changed, and a part of it."""

    def forward(self, x: Tensor) -> Tensor:
        mask = x.new_zeros(4, 4)
        mask[1:3, :2] = 5.0
        first = x * mask
        mask[:, 3] = mask[:, 0] + 1
        corner = mask[2:, 2:]
        corner.fill_(-2.0)
        return (first + mask).flatten(1) * mask[0, 3]


class Written(nn.Module):
    """Holds the input's own values: no constant."""

    def forward(self, x: Tensor) -> Tensor:
        kept = torch.zeros(4, 4)
        kept[1:3] = x.mean((0, 1))[1:3]
        return (x + kept).flatten(1)


def test_every_reader_sees_the_value_of_its_time() -> None:
    program = fold(Masked(), (torch.randn(3, 2, 4, 4),))
    x = torch.randn(5, 2, 4, 4)
    torch.testing.assert_close(program(x), Masked()(x))
    assert set(program.operators().values()) == {"mul", "add", "flatten"}


def test_what_depends_on_the_input_is_refused_as_before() -> None:
    with pytest.raises(CompressError, match="in place"):
        fold(Written(), (torch.randn(3, 2, 4, 4),))


def test_a_network_without_assignments_keeps_what_it_makes() -> None:
    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + x.new_ones(4, 4)).flatten(1)

    assert "new_ones" in fold(Plain(), (torch.randn(3, 2, 4, 4),)).operators().values()
