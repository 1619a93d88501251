"""What logits are worth: accuracy, accuracy per class, agreement. Pure numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.errors import BenchmarkError


def _top1(logits: NDArray[Any], samples: int) -> NDArray[np.int64]:
    """`(N, K)` logits to `(N,)` classes; of equal logits the first wins."""
    if logits.ndim != 2 or len(logits) != samples or samples == 0:
        accepted = f"({samples or 'N > 0'}, K)"
        raise BenchmarkError("logits and labels do not belong together", received=logits.shape, accepted=accepted)
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).any(axis=1).sum())
        raise BenchmarkError("the model gives logits that are no numbers", received=f"{bad} of {samples} samples")
    return logits.argmax(axis=1)


def accuracy(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of samples whose largest logit is their label's, in [0, 1].

    Args:
        logits: `(N, K)`.
        labels: `(N,)`.

    Raises:
        BenchmarkError: the shapes do not match, there are no samples, or a logit is not finite.
    """
    return float((_top1(logits, len(labels)) == labels).mean())


def class_accuracy(logits: NDArray[Any], labels: NDArray[np.int64], classes: int) -> list[float | None]:
    """Accuracy of each class's own samples, in [0, 1]; None for a class without samples."""
    right = _top1(logits, len(labels)) == labels
    return [float(right[labels == index].mean()) if (labels == index).any() else None for index in range(classes)]


def agreement(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Share of samples on which two models choose the same class, in [0, 1]; both `(N, K)`."""
    return float((_top1(first, len(second)) == _top1(second, len(first))).mean())
