"""Outputs of a network on prepared samples."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekd.data.dataset import Dataset
from edgekd.data.ragged import spans
from edgekd.distill.batches import Batches, batches_of
from edgekd.errors import ModelError
from edgekd.models.modules import device_of, evaluating


def predict(model: nn.Module, data: Dataset, indices: NDArray[np.int64], batch_size: int = 256) -> NDArray[np.float32]:
    """Float32 outputs in evaluation mode; leaves the model's mode and device as they were.

    Args:
        model: reads `data.inputs`.
        data: the prepared samples.
        indices: `(N,)` samples, e.g. `data.indices("test")`.
        batch_size: samples per forward pass.

    Returns:
        `(N, K)` float32 logits; one row per token where tokens are classified, like `data.targets`; `(N, D)`
        embeddings.

    Raises:
        ModelError: the model does not put out one row of logits, one per class, per sample or token.
    """
    return logits_of(model, batches_of(data, device_of(model)), indices, width_of(data), batch_size=batch_size)


def width_of(data: Dataset) -> int | None:
    """Number of classes; None where the network puts out embeddings, of any width."""
    return None if data.task == "embedding" else len(data.classes)


def probe(model: nn.Module, batches: Batches, indices: NDArray[np.int64], width: int | None, role: str) -> int:
    """Tries the model on two samples, so that what does not fit is refused before any work; the width it puts out.

    Raises:
        ModelError: the model cannot read these samples, or puts out something else than logits.
    """
    try:
        return logits_of(model, batches, batches.trial(indices), width).shape[1]
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        inputs = batches.inputs(indices[:1])
        kind = "images" if len(inputs) == 1 else "texts"
        shape = f"{tuple(inputs[0].shape[1:])} (channels, height, width)" if kind == "images" else "token ids"
        raise ModelError(
            f"the {role} cannot read these {kind}",
            received=f"{shape}: {error}",
            accepted=f"{kind} of the size and kind that the architecture is made for",
            hint="change data.size, data.channels or data.tokenizer, or choose another model",
        ) from error


def logits_of(
    model: nn.Module,
    batches: Batches,
    indices: NDArray[np.int64],
    width: int | None,
    *,
    batch_size: int = 256,
    variant: int = 0,
) -> NDArray[np.float32]:
    """Like `predict`, with batches (and so an augmentation and its variant) of the caller's; None accepts any width."""
    counts = batches.counts(indices)
    starts = np.cumsum(counts) - counts
    out: NDArray[np.float32] = np.empty((int(counts.sum()), width or 0), np.float32)
    with evaluating(model), torch.inference_mode():
        for chunk in batches.chunks(indices, batch_size):
            inputs = batches.inputs(indices[chunk], variant)
            found: Any = model(*inputs)
            found = batches.rows(found, inputs) if isinstance(found, torch.Tensor) else found
            rows = spans(starts[chunk], counts[chunk])
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            if shape != (len(rows), width or shape[-1]):
                raise ModelError(
                    "the model's output does not fit the data",
                    received=shape,
                    accepted=f"one tensor of {len(rows)} x {width or 'D'} values: a row per sample, a column per class",
                )
            if not out.shape[1]:
                out = np.empty((len(out), int(shape[1])), np.float32)
            out[rows] = cast(Any, found).float().cpu().numpy()
    return out
