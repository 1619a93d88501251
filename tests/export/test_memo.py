from __future__ import annotations

import gc

import torch
from torch import fx

from edgekd.compress.fold import Program
from edgekd.export import memo
from edgekd.export.memo import once


def test_once_per_program_and_forgotten_with_it() -> None:
    calls: list[int] = []

    def build() -> int:
        calls.append(1)
        return len(calls)

    programs = [Program(module=fx.symbolic_trace(torch.nn.ReLU()), example=(torch.zeros(1),)) for _ in range(2)]
    before = len(memo._KEPT)
    assert [once(programs[0], "a", build), once(programs[0], "a", build), once(programs[0], "b", build)] == [1, 1, 2]
    assert once(programs[1], "a", build) == 3
    assert len(memo._KEPT) == before + 2
    programs.clear()
    gc.collect()
    assert len(memo._KEPT) == before
