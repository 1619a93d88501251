"""Multiply-accumulate operations of one forward pass."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgekd.models.modules import device_of, evaluating

FLOPS_PER_MAC = 2


def macs(model: nn.Module, inputs: Sequence[Tensor]) -> int:
    """MACs of `model(*inputs)` through convolutions, matrix products and attention; elementwise work is not counted.

    Args:
        model: its modes and random stream are left alone.
        inputs: a batch of one.
    """
    device = device_of(model)
    with evaluating(model), torch.no_grad(), _plain_attention(), FlopCounterMode(display=False) as counter:
        model(*(value.to(device) for value in inputs))
    return counter.get_total_flops() // FLOPS_PER_MAC


@contextmanager
def _plain_attention() -> Generator[None]:
    """Attention as matrix products: the counter does not know the fused kernels and would count them as nothing."""
    mha = cast(Any, torch.backends.mha)
    before: bool = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mha.set_fastpath_enabled(before)
