from __future__ import annotations

import torch
from torch import fx

from edgekd.compress.fold import Program


def test_once_per_program_and_key() -> None:
    calls: list[int] = []

    def build() -> int:
        calls.append(1)
        return len(calls)

    one, other = (Program(module=fx.symbolic_trace(torch.nn.ReLU()), example=(torch.zeros(1),)) for _ in range(2))
    assert [one.once("a", build), one.once("a", build), one.once("b", build)] == [1, 1, 2]
    assert other.once("a", build) == 3
