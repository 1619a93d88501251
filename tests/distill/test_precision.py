"""Precision follows the hardware."""

from __future__ import annotations

import pytest
import torch

from edgekd.distill.precision import autocast, resolve_precision
from edgekd.errors import RecipeError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True}, "float32"),
    ],
)
def test_auto_on_a_cpu(flags: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert resolve_precision("auto", CPU) == expected


def test_an_explicit_choice_stands_and_float16_needs_cuda() -> None:
    assert resolve_precision("bfloat16", CPU) == "bfloat16"
    with pytest.raises(RecipeError, match="CUDA"):
        resolve_precision("float16", CPU)


def test_autocast_computes_in_that_type() -> None:
    layer, x = torch.nn.Linear(3, 3), torch.randn(2, 3)
    with autocast("bfloat16", CPU):
        assert layer(x).dtype == torch.bfloat16
    with autocast("float32", CPU):
        assert layer(x).dtype == torch.float32
