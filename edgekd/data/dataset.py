"""What a prepared data set offers, whatever its kind: training, evaluation, calibration and export read no more."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
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


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """A labelled set on disk, split in three, with its calibration samples.

    Attributes:
        kind: images or texts.
        task: what the network puts out.
        labels: `(N,)` int64 class of each sample, indices into `classes`.
        split: `(N,)` uint8 indices into `SPLITS`.
        classes: class names, sorted as the reader gives them.
        preprocess: how a raw sample becomes the network's input.
        facts: everything the report says about the data (counts, class coverage, hashes, warnings, licence).
    """

    kind: ClassVar[Kind]
    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    classes: tuple[str, ...]
    preprocess: Preprocessing
    facts: dict[str, Any]

    @property
    def task(self) -> str:
        """What the network puts out."""
        return "classification"

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the stored samples; part of what tells one set from another."""

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Sorted positions of one split's samples."""
        return positions(self.split, split)

    @abstractmethod
    def inputs(self, indices: NDArray[np.int64]) -> Inputs:
        """What the network reads: `model(*inputs)`."""

    def targets(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """One class per row that the network puts out for these samples; `IGNORED` where a row has none."""
        return self.labels[indices]

    @abstractmethod
    def calibration_batches(self, size: int) -> Iterator[Inputs]:
        """All calibration samples, at most `size` at once, never padded."""

    @abstractmethod
    def example(self, count: int) -> Inputs:
        """At most `count` calibration samples, not padded."""


def positions(splits: NDArray[np.uint8], split: Split) -> NDArray[np.int64]:
    """Sorted positions of one split's samples."""
    return np.flatnonzero(splits == SPLITS.index(split))


def stored(folder: Path) -> dict[str, Any]:
    """What every kind of set is stored as, by the fields of `Dataset`; its preprocessing is among the facts."""
    facts = _facts(folder)
    return {
        "labels": np.load(folder / "labels.npy"),
        "split": np.load(folder / "split.npy"),
        "classes": tuple(facts["classes"]),
        "facts": facts,
    }


def load_data(folder: Path) -> Dataset:
    """Opens what `prepare` wrote, without reading the samples."""
    from edgekd.data.arrays import ImageData
    from edgekd.data.texts import TextData

    return (TextData if _facts(folder).get("kind") == "text" else ImageData).load(folder)


def _facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "data.json").read_text(encoding="utf-8"))
