"""What logits are worth: accuracy, macro-F1, recall, calibration error, the worst classes, agreement. Pure numpy.

With N samples, K classes, and for class k its true positives TP_k, false positives FP_k and false negatives FN_k:

    macro-F1           = mean over k of  2 TP_k / (2 TP_k + FP_k + FN_k)
    balanced accuracy  = mean over k of  TP_k / (TP_k + FN_k)
    calibration error  = sum over bins m of  |B_m| / N * | accuracy(B_m) - mean confidence(B_m) |

Confidence is the largest probability; bin m of M holds the samples with confidence in ((m - 1) / M, m / M].

Guo et al. 2017, On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599, equation 3
"""

from __future__ import annotations

from collections.abc import Sequence
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


def macro_f1(logits: NDArray[Any], labels: NDArray[np.int64], classes: int) -> float:
    """Mean of the classes' F1, in [0, 1], over the classes that have samples or were predicted."""
    chosen = _top1(logits, len(labels))
    right = np.bincount(labels[chosen == labels], minlength=classes)
    ends = np.bincount(labels, minlength=classes) + np.bincount(chosen, minlength=classes)  # 2 TP + FP + FN
    met = ends > 0
    return float((2 * right[met] / ends[met]).mean())


def recalls(logits: NDArray[Any], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """`(K,)` share of each class's samples that are found, in [0, 1]; not a number for a class without samples."""
    right = np.bincount(labels[_top1(logits, len(labels)) == labels], minlength=classes)
    own = np.bincount(labels, minlength=classes)
    return np.where(own > 0, right / np.maximum(own, 1), np.nan)


def calibration_error(logits: NDArray[Any], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error of softmax(logits), in [0, 1]: how far confidence is from accuracy."""
    right = _top1(logits, len(labels)) == labels
    scaled = logits.astype(np.float64)
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    confidence = 1 / exponents.sum(axis=1)  # the largest exponent is 1
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def worst_classes(
    logits: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str], count: int = 10
) -> list[dict[str, Any]]:
    """The classes of lowest recall, worst first: `name`, `recall` in [0, 1], `samples`, `mistaken_for` most often."""
    chosen = _top1(logits, len(labels))
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(classes):
        own = chosen[labels == index]
        wrong = np.bincount(own[own != index], minlength=len(classes))
        if len(own):
            other = classes[int(wrong.argmax())] if wrong.any() else None
            recall = float((own == index).mean())
            rows.append({"name": name, "recall": recall, "samples": len(own), "mistaken_for": other})
    return sorted(rows, key=lambda row: (row["recall"], -row["samples"]))[:count]


def quality(
    logits: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str], *, probabilities: bool = True
) -> dict[str, Any]:
    """All of the above but the agreement; no calibration error where the logits are no log-probabilities."""
    found = recalls(logits, labels, len(classes))
    return {
        "macro_f1": macro_f1(logits, labels, len(classes)),
        "balanced_accuracy": float(np.nanmean(found)),
        "classes_met": int(np.isfinite(found).sum()),
        "never_found": [name for name, recall in zip(classes, found, strict=True) if recall == 0],
        "calibration_error": calibration_error(logits, labels) if probabilities else None,
        "worst_classes": worst_classes(logits, labels, classes),
    }


def mean_cosine(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Mean cosine between the rows of two `(N, D)` sets of embeddings."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / np.maximum(norms, 1e-12)).mean())


def agreement(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Share of samples on which two models choose the same class, in [0, 1]; both `(N, K)`."""
    return float((_top1(first, len(second)) == _top1(second, len(first))).mean())
