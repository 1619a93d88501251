"""What a prepared data set offers, whatever its kind: training, evaluation, calibration and export read no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekd.data.arrays import ImageData, Split
from edgekd.data.texts import TextData

Kind = Literal["image", "text"]
Inputs = tuple[NDArray[Any], ...]


class Preprocessing(Protocol):
    """How a raw sample becomes the network's input."""

    @property
    def channels(self) -> int:
        """Of an image; 0 for a text."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What a device needs to know to do the same."""
        ...


class Dataset(Protocol):
    """A labelled, split set with its calibration samples.

    Attributes:
        kind: images or texts.
        labels: `(N,)` class of each sample; of each token, flat, where tokens are classified.
        split: `(N,)` indices into `SPLITS`.
        classes: class names.
        facts: everything the report says about the data.
    """

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def split(self) -> NDArray[np.uint8]: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def facts(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def preprocess(self) -> Preprocessing: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]:
        """Of the stored samples; part of what tells one set from another."""
        ...

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Sorted positions of one split's samples."""
        ...

    def inputs(self, indices: NDArray[np.int64]) -> Inputs:
        """What the network reads: `model(*inputs)`."""
        ...

    def targets(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """One class per row that the network puts out for these samples; `IGNORED` where a row has none."""
        ...

    def calibration_batches(self, size: int) -> Iterator[Inputs]:
        """All calibration samples, at most `size` at once, never padded."""
        ...

    def example(self, count: int) -> Inputs:
        """At most `count` calibration samples, not padded."""
        ...


def load_data(folder: Path) -> Dataset:
    """Opens what `prepare` wrote, without reading the samples."""
    facts = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    return (TextData if facts.get("kind") == "text" else ImageData).load(folder)
