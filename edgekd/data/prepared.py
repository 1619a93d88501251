"""Decoded, labelled and split images, before the calibration set is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.data.arrays import SPLITS, Split
from edgekd.data.splits import counts


def digest(image: NDArray[np.uint8]) -> bytes:
    """SHA-256 of an image's prepared pixels: what the network sees, whatever file it came from."""
    return hashlib.sha256(image.tobytes()).digest()


@dataclass(frozen=True)
class Prepared:
    """The images of a source, in the order of their origins.

    Attributes:
        images: `(N, H, W, C)` uint8, memory-mapped.
        labels: `(N,)` indices into `classes`.
        split: `(N,)` indices into `SPLITS`.
        digests: `digest` of each image.
        classes: class names.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    digests: Sequence[bytes]
    classes: Sequence[str]

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Sorted positions of one split's samples."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def digests_of(self, split: Split) -> set[bytes]:
        """Distinct digests of one split's images."""
        return {self.digests[index] for index in self.indices(split)}

    def sha256(self) -> str:
        """Hash of pixels, labels, split and class names: two equal hashes are the same data."""
        total = hashlib.sha256(repr((self.images.shape, list(self.classes))).encode())
        for one in self.digests:
            total.update(one)
        total.update(self.labels.astype("<i8").tobytes() + self.split.tobytes())
        return total.hexdigest()

    def warnings(self) -> list[str]:
        """Classes that a split lacks, and images that are both trained or selected on and tested on."""
        found: list[str] = []
        for name, table in counts(self.split, self.labels, self.classes).items():
            missing = [label for label, count in table.items() if count == 0]
            if missing:
                found.append(f"the {name} split has no samples of: {', '.join(missing)}")
        test = self.digests_of("test")
        other = [index for split in ("train", "validation") for index in self.indices(split)]
        leaked = sum(self.digests[index] in test for index in other)
        if leaked:
            found.append(
                f"{leaked} images of the train or validation split are also in the test split, pixel for pixel: "
                "the test score is too good"
            )
        return found
