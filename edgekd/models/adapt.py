"""Fits a ready-made classifier to another number of input channels or classes."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from edgekd.errors import ModelError
from edgekd.models.modules import named_modules, seeded


def adapt_channels(model: nn.Module, channels: int) -> None:
    """Replaces the first convolution, in place, when it reads another number of channels.

    From RGB to grey its weights are summed over the channels: a grey image shown as three equal channels gives the same
    response. From grey to RGB they are divided evenly. Fresh and learnt weights alike keep their scale.

    Raises:
        ModelError: the model does not begin with a plain convolution.
    """
    name, first = next(((n, m) for n, m in named_modules(model) if isinstance(m, nn.Conv2d)), ("", None))
    if first is None:
        raise ModelError(
            "the model has no convolution whose input channels could be adapted", received=type(model).__name__
        )
    if first.in_channels == channels:
        return
    if first.groups != 1:
        raise ModelError(
            "the model's first convolution is grouped and cannot be adapted", where=name, accepted="3 channels"
        )
    bias = cast("nn.Parameter | None", first.bias)
    with seeded(0):  # the replaced initial values must not shift the caller's random stream
        new = nn.Conv2d(
            channels,
            first.out_channels,
            _pair(first.kernel_size),
            _pair(first.stride),
            first.padding if isinstance(first.padding, str) else _pair(first.padding),
            _pair(first.dilation),
            bias=bias is not None,
            padding_mode=first.padding_mode,
        )
    with torch.no_grad():
        total = first.weight.sum(dim=1, keepdim=True)  # (out, 1, kh, kw)
        new.weight.copy_((total / channels).expand_as(new.weight))
        if bias is not None:
            cast(nn.Parameter, new.bias).copy_(bias)
    _replace(model, name, new)


def adapt_classes(model: nn.Module, classes: int) -> None:
    """Replaces the last layer, in place, by a freshly initialised one when it has another number of outputs.

    Raises:
        ModelError: the model ends in neither a linear layer nor a convolution.
    """
    found = [(n, m) for n, m in named_modules(model) if isinstance(m, nn.Linear | nn.Conv2d)]
    if not found:
        raise ModelError("the model has no head whose classes could be adapted", received=type(model).__name__)
    name, last = found[-1]
    if isinstance(last, nn.Linear):
        if last.out_features != classes:
            _replace(
                model,
                name,
                nn.Linear(last.in_features, classes, bias=cast("nn.Parameter | None", last.bias) is not None),
            )
    elif last.out_channels != classes:
        size, bias = _pair(last.kernel_size), cast("nn.Parameter | None", last.bias) is not None
        new = nn.Conv2d(last.in_channels, classes, size, _pair(last.stride), last.padding, bias=bias)  # pyright: ignore[reportArgumentType]
        _replace(model, name, new)


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[1]


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, new)
