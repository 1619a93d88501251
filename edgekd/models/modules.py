"""Small questions and moves on a whole network, typed (torch leaves parts of these signatures open)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn


def named_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every module with its dotted name; the model itself is `""`."""
    return list(cast("Generator[tuple[str, nn.Module]]", model.named_modules()))


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def place(model: nn.Module, device: torch.device, *, channels_last: bool) -> None:
    """Moves the model, in place, to a device and to one order of image memory."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    cast(Any, model).to(device, memory_format=order)


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """Evaluation mode inside; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for _, module in named_modules(model)]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Torch's random streams start from `seed` inside; the caller's go on untouched afterwards."""
    random = cast(Any, torch.random)
    with random.fork_rng():
        random.manual_seed(seed)
        yield
