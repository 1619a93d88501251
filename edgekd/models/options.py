"""Options of a library's networks, checked against the constructor that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from edgekd.errors import ModelError, nearest

if TYPE_CHECKING:
    from torch import nn


def built_with(name: str, options: Mapping[str, JsonValue], build: Callable[..., nn.Module]) -> nn.Module:
    """`build(**options)`.

    Raises:
        ModelError: the network's constructor does not take them, or makes nothing of their values.
    """
    try:
        return build(**options)
    except (TypeError, ValueError, AssertionError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        if not options:
            raise
        taken = [*inspect.signature(type(build()).__init__).parameters][1:]
        unknown = [key for key in options if key not in taken]
        close = nearest(unknown[0], taken) if unknown else ""
        raise ModelError(
            f"{name} cannot be built with these options{close}",
            received=f"{dict(options)} ({type(error).__name__}: {error})",
            accepted=", ".join(key for key in taken if key not in ("args", "kwargs")),
        ) from error
