"""Prepared images: decoded once, memory-mapped ever after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import Dataset, Kind, stored


@dataclass(frozen=True)
class Preprocess:
    """How uint8 pixels become the network's float32 input: `(x / 255 - mean) / std`, per channel.

    Attributes:
        mean: per-channel mean, in [0, 1] pixel units.
        std: per-channel standard deviation, in [0, 1] pixel units.
        size: (height, width) in pixels.
        channels: 1 or 3.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    channels: int

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(N, H, W, C)` uint8 to `(N, C, H, W)` float32, contiguous."""
        scaled = images.astype(np.float32) / np.float32(255)
        normal = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))

    def to_json(self) -> dict[str, Any]:
        """The same fields as plain JSON."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocess:
        """The inverse of `to_json`."""
        return cls(tuple(data["mean"]), tuple(data["std"]), (data["size"][0], data["size"][1]), data["channels"])


@dataclass(frozen=True, kw_only=True)
class ImageData(Dataset):
    """Images.

    Attributes:
        images: `(N, H, W, C)` uint8, memory-mapped.
        preprocess: the normalisation that belongs to the training split.
        calibration: `(K, H, W, C)` uint8 images of the user's domain, disjoint from the test split.
    """

    kind: ClassVar[Kind] = "image"
    images: NDArray[np.uint8]
    preprocess: Preprocess
    calibration: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, H, W, C)`."""
        return self.images.shape

    def inputs(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32]]:
        """`(B, C, H, W)` float32, normalised."""
        return (self.preprocess.apply(self.images[indices]),)

    def calibration_batches(self, size: int) -> Iterator[tuple[NDArray[np.float32]]]:
        """All calibration images, at most `size` at once."""
        for start in range(0, len(self.calibration), size):
            yield (self.preprocess.apply(self.calibration[start : start + size]),)

    def example(self, count: int) -> tuple[NDArray[np.float32]]:
        """At most `count` calibration images."""
        return (self.preprocess.apply(self.calibration[:count]),)

    @classmethod
    def load(cls, folder: Path) -> ImageData:
        """Opens a prepared set, without reading the images."""
        fields = stored(folder)
        return cls(
            **fields,
            preprocess=Preprocess.from_json(fields["facts"]["preprocess"]),
            images=np.load(folder / "images.npy", mmap_mode="r"),
            calibration=np.load(folder / "calibration.npy", mmap_mode="r"),
        )
