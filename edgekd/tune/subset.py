"""The data as a trial sees it: a share of the training split, the whole validation split, and no test split at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import SPLITS
from edgekd.steps.data import PreparedData
from edgekd.store import key_of

if TYPE_CHECKING:
    from edgekd.data.dataset import Dataset

NOWHERE = 255
"""No split has this number: neither training nor scoring finds these samples."""


def reduced_split(split: NDArray[np.uint8], labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.uint8]:
    """The split with `fraction` of each class's training samples (at least one), and without the test split.

    Args:
        split: `(N,)` indices into `SPLITS`.
        labels: `(N,)` classes; of labels with more dimensions (one per token) no class is told apart.
        fraction: share that stays.
        seed: decides the draw.
    """
    kept = np.where(split == SPLITS.index("validation"), split, NOWHERE).astype(np.uint8)
    classes = labels if labels.ndim == 1 else np.zeros(len(split), np.int64)
    for label in np.unique(classes):
        pool = np.flatnonzero((classes == label) & (split == SPLITS.index("train")))
        drawn = np.random.default_rng([seed, int(label)]).permutation(pool)
        kept[drawn[: max(1, round(fraction * len(pool)))]] = SPLITS.index("train")
    return kept


@dataclass(frozen=True)
class TrialData(PreparedData):
    """The prepared data with another split."""

    split: NDArray[np.uint8]

    def open(self) -> Dataset:
        """Memory-maps the arrays."""
        return replace(cast(Any, super().open()), split=self.split)


def trial_data(data: PreparedData, fraction: float, seed: int) -> TrialData:
    """The view of prepared data that trials train and are scored on; its digest is its own."""
    arrays = data.open()
    split = reduced_split(arrays.split, arrays.labels, fraction, seed)
    digest = key_of({"data": data.digest, "split": hashlib.sha256(split.tobytes()).hexdigest()})
    fields: dict[str, Any] = {**vars(data), "digest": digest, "split": split}
    return TrialData(**fields)
