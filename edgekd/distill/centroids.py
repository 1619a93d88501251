"""Scoring embeddings by classes: the nearest class centroid.

The centroid of a class is the normalised mean of its training texts' embeddings; a text's logits are its cosines with
all centroids. The same question as "does the embedding keep what tells the classes apart", without training a head.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import Dataset
from edgekd.distill.loss import IGNORED


def centroids(embeddings: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """`(K, D)` normalised mean of each class's embeddings; zeros for a class without any."""
    sums = np.zeros((classes, embeddings.shape[1]), np.float64)
    np.add.at(sums, labels, embeddings)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def scored(
    data: Dataset, outputs: NDArray[Any], indices: NDArray[np.int64], centers: NDArray[np.float32] | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """`(M, K)` logits and `(M,)` labels of what counts: labelled samples, or labelled tokens.

    Args:
        data: the samples.
        outputs: of a network, or of its exported file, on `indices`: a row per `data.targets`.
        indices: which samples.
        centers: class centroids, where the outputs are embeddings.
    """
    labels = data.targets(indices)
    logits = outputs if centers is None else outputs @ centers.T
    counted = labels != IGNORED
    return (logits, labels) if counted.all() else (logits[counted], labels[counted])
