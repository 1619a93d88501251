"""How far an exported file's answers are from the network it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.errors import ExportError


def compare(
    reference: NDArray[np.floating[Any]], logits: NDArray[np.floating[Any]], *, embeddings: bool = False
) -> dict[str, Any]:
    """Parity of two sets of logits on the same samples.

    Args:
        reference: the torch network's, `(N, K)`.
        logits: the file's in its own runtime, `(N, K)`.
        embeddings: the columns are directions, not classes, so that no largest one is the answer.

    Returns:
        `max_abs_error` and `mean_abs_error` in units of the logits; `relative_max_error`: the largest error as a share
        of the largest reference magnitude (0 if both are all zeros); `top1_agreement`: share of samples, 0 to 1, whose
        largest logit is the same class; `samples`. An error that is not finite makes all three errors infinite.
        For embeddings `top1_agreement` is None, and `cosine_mean` and `cosine_min` are the cosines of the angles
        between the two answers to one sample, None where one of them has no direction.

    Raises:
        ExportError: the two have different shapes, are not `(N, K)`, or hold no sample.
    """
    if reference.shape != logits.shape or reference.ndim != 2 or reference.size == 0:
        raise ExportError(
            "the exported file's answers cannot be compared with the network's",
            received=f"{list(logits.shape)} against {list(reference.shape)}",
            accepted="the same (samples, classes), at least one sample",
        )
    wide, other = np.asarray(reference, np.float64), np.asarray(logits, np.float64)
    found: dict[str, Any] = {"top1_agreement": None, "samples": int(reference.shape[0])}
    if embeddings:
        found |= _cosines(wide, other)
    else:
        same = np.equal(wide.argmax(axis=1), other.argmax(axis=1))
        found["top1_agreement"] = int(np.count_nonzero(same)) / int(reference.shape[0])
    if not (np.isfinite(wide).all() and np.isfinite(other).all()):
        infinite = float("inf")
        return {"max_abs_error": infinite, "mean_abs_error": infinite, "relative_max_error": infinite, **found}
    errors: NDArray[np.float64] = np.abs(other - wide)
    largest, scale = float(errors.max()), float(np.abs(wide).max())
    relative = largest / scale if scale > 0 else (0.0 if largest == 0 else float("inf"))
    return {
        "max_abs_error": largest,
        "mean_abs_error": float(errors.mean()),
        "relative_max_error": relative,
        **found,
    }


def _cosines(left: NDArray[np.float64], right: NDArray[np.float64]) -> dict[str, float | None]:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)  # (N,)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return {"cosine_mean": None, "cosine_min": None}
    cosines = (left * right).sum(axis=1) / lengths
    return {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
