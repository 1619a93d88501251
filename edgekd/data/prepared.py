"""Prepared, labelled and split samples, before the calibration set is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import Split, positions
from edgekd.data.ragged import Ragged
from edgekd.data.splits import counts

S = TypeVar("S", NDArray[np.uint8], Ragged)


def digest(sample: NDArray[Any]) -> bytes:
    """SHA-256 of a sample's prepared pixels or token ids: what the network sees, whatever file it came from."""
    return hashlib.sha256(sample.tobytes()).digest()


@dataclass(frozen=True)
class Prepared(Generic[S]):
    """The samples of a source, in the order of their origins.

    Attributes:
        samples: images `(N, H, W, C)` uint8, memory-mapped, or texts.
        labels: `(N,)` indices into `classes`; where tokens are classified one per token, flat.
        split: `(N,)` indices into `SPLITS`.
        digests: `digest` of each sample.
        classes: class names.
    """

    samples: S
    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    digests: Sequence[bytes]
    classes: Sequence[str]

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Sorted positions of one split's samples."""
        return positions(self.split, split)

    def digests_of(self, split: Split) -> set[bytes]:
        """Distinct digests of one split's samples."""
        return {self.digests[index] for index in self.indices(split)}

    def sha256(self) -> str:
        """Hash of samples, labels, split and class names: two equal hashes are the same data."""
        shape = self.samples.values.shape if isinstance(self.samples, Ragged) else self.samples.shape
        total = hashlib.sha256(repr((shape, list(self.classes))).encode())
        for one in self.digests:
            total.update(one)
        total.update(self.labels.astype("<i8").tobytes() + self.split.tobytes())
        return total.hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Samples per split and class; labelled tokens, where those are classified."""
        split, labels = self.split, self.labels
        if isinstance(self.samples, Ragged) and len(labels) == len(self.samples.values):
            labelled = labels >= 0
            split, labels = np.repeat(split, self.samples.lengths)[labelled], labels[labelled]
        return counts(split, labels, self.classes)

    def warnings(self) -> list[str]:
        """Classes that a split lacks, and samples that are both trained or selected on and tested on."""
        found: list[str] = []
        for name, table in self.counts().items():
            missing = [label for label, count in table.items() if count == 0]
            if missing:
                found.append(f"the {name} split has no samples of: {', '.join(missing)}")
        test = self.digests_of("test")
        other = [index for split in ("train", "validation") for index in self.indices(split)]
        leaked = sum(self.digests[index] in test for index in other)
        if leaked:
            what, how = (
                ("texts", "token for token") if isinstance(self.samples, Ragged) else ("images", "pixel for pixel")
            )
            found.append(
                f"{leaked} {what} of the train or validation split are also in the test split, {how}: "
                "the test score is too good"
            )
        return found
