"""A network without weights and without data: what its layers are called, and how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekd.errors import EdgekdError
from edgekd.models.source import ModelSource

if TYPE_CHECKING:
    from torch import nn

CLASSES = 10
"""Stands for the number of classes, which only the data tell: no layer's name or input width depends on it."""


def architecture(source: ModelSource, channels: int) -> nn.Module | None:
    """The network, on torch's meta device where it can be built there: no memory, no time.

    Args:
        source: what a recipe names under `model:`.
        channels: of the input images; 0 for texts.

    Returns:
        None where code that is not this project's fails on a stand-in for the number of classes.

    Raises:
        ModelError: there is no such network.
        MissingBackend: its package is not installed.
    """
    import torch

    try:
        with torch.device("meta"):
            return source.build(CLASSES, channels)
    except Exception:  # whatever a network raises that computes with values while it is built: meta tensors have none
        pass
    try:
        return source.build(CLASSES, channels)
    except EdgekdError:
        raise
    except Exception:  # of code that is not this project's, and that the real number of classes may please
        return None
