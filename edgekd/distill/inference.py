"""Logits of a network on prepared images."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekd.data.arrays import ImageData
from edgekd.distill.batches import Batches
from edgekd.errors import ModelError
from edgekd.models.modules import device_of, evaluating


def predict(
    model: nn.Module, data: ImageData, indices: NDArray[np.int64], batch_size: int = 256
) -> NDArray[np.float32]:
    """Float32 logits in evaluation mode; leaves the model's mode and device as they were.

    Args:
        model: `(B, C, H, W)` float32 to `(B, K)` logits.
        data: the prepared images.
        indices: `(N,)` samples, e.g. `data.indices("test")`.
        batch_size: images per forward pass.

    Returns:
        `(N, K)` float32 logits.

    Raises:
        ModelError: the model does not put out one row of logits, one per class, per image.
    """
    return logits_of(model, Batches(data, device_of(model)), indices, len(data.classes), batch_size=batch_size)


def probe(model: nn.Module, batches: Batches, indices: NDArray[np.int64], classes: int, role: str) -> None:
    """Tries the model on two images, so that what does not fit is refused before any work.

    Raises:
        ModelError: the model cannot read images of this size, or puts out something else than logits.
    """
    try:
        logits_of(model, batches, indices[:2], classes)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        raise ModelError(
            f"the {role} cannot read these images",
            received=f"{tuple(batches.images(indices[:1]).shape[1:])} (channels, height, width): {error}",
            accepted="images of the size that the architecture is made for",
            hint="change data.size or data.channels, or choose another model",
        ) from error


def logits_of(
    model: nn.Module,
    batches: Batches,
    indices: NDArray[np.int64],
    classes: int,
    *,
    batch_size: int = 256,
    variant: int = 0,
) -> NDArray[np.float32]:
    """Like `predict`, with batches (and so an augmentation and its variant) of the caller's."""
    out = np.empty((len(indices), classes), np.float32)
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(indices), batch_size):
            rows = indices[start : start + batch_size]
            logits: Any = model(batches.images(rows, variant))
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            if shape != (len(rows), classes):
                raise ModelError(
                    "the model's output does not fit the data",
                    received=shape,
                    accepted=f"one tensor of {len(rows)} x {classes} logits: a row per image, a column per class",
                )
            out[start : start + batch_size] = cast(Any, logits).float().cpu().numpy()
    return out
