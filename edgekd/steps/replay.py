"""Step: exemplars of old data, put beside the new training data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.backends import versions
from edgekd.data import Reader
from edgekd.data.arrays import ImageData
from edgekd.data.dataset import SPLITS, Dataset
from edgekd.data.ragged import Ragged
from edgekd.data.section import Normalize
from edgekd.data.texts import TextData
from edgekd.errors import DataError
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData, prepare_data, seen_data
from edgekd.store import source_digest


@dataclass(frozen=True)
class Rehearsal:
    """New data with old exemplars.

    Attributes:
        old: the old task's own data.
        data: the new data, followed by the exemplars as further training samples.
        fresh: samples of the new data; what comes after them is replayed.
        samples: all of them.
    """

    old: PreparedData
    data: PreparedData
    fresh: int
    samples: int


def rehearse(context: Context, new: PreparedData, reader: Reader, replay: int) -> Rehearsal:
    """Prepares the old data as the new data was, normalisation or tokenizer included, and joins exemplars to the new.

    Raises:
        DataError: the two do not have the same classes, or the old one has fewer training samples than `replay`.
    """
    preprocess, changes = new.entry.info["preprocess"], dict[str, Any](reader=reader)
    if reader.kind == "image":
        changes["normalize"] = Normalize(mean=preprocess["mean"], std=preprocess["std"])
    old = prepare_data(context, context.recipe.data.model_copy(update=changes))
    if old.entry.info["classes"] != new.entry.info["classes"]:
        raise DataError(
            "the old and the new data have different classes",
            where="distill.strategy.continual.old_data",
            received=", ".join(old.entry.info["classes"]),
            accepted=", ".join(new.entry.info["classes"]),
        )
    seed = context.recipe.seed
    inputs = {
        "new": new.digest,
        "calibration": new.calibration_digest,
        "old": old.digest,
        "replay": replay,
        "seed": seed,
        "code": source_digest("edgekd.steps.replay"),
        "versions": versions("numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        first, second = new.open(), old.open()
        return _join(first, second, exemplars(second, replay, seed), folder)

    joined = seen_data(context.store.get("replay", inputs, build))
    fresh = sum(sum(table.values()) for table in new.entry.info["counts"].values())
    return Rehearsal(old, joined, fresh, fresh + replay)


def exemplars(data: Dataset, count: int, seed: int) -> NDArray[np.int64]:
    """`count` training samples, drawn by the seed, as evenly over the classes as they have them."""
    train = data.indices("train")
    if count > len(train):
        raise DataError(
            "the old data has too few training samples to replay",
            where="distill.strategy.continual.replay",
            received=count,
            accepted=f"at most {len(train)}",
        )
    shuffled = np.random.default_rng(seed).permutation(train)
    labels = data.labels[shuffled]
    turn = np.empty(len(shuffled), np.int64)  # how many of its class come before each sample
    for label in range(len(data.classes)):
        turn[labels == label] = np.arange((labels == label).sum())
    return np.sort(shuffled[np.argsort(turn, kind="stable")[:count]])


def _join(new: Dataset, old: Dataset, rows: NDArray[np.int64], folder: Path) -> dict[str, Any]:
    """Writes what `load_data` opens; the calibration samples are the new data's."""
    if isinstance(new, TextData):  # of whole texts with one class each: `Continual.reasons` refuses others
        replayed_texts = [cast(TextData, old).texts[row] for row in rows]
        Ragged.of([*(new.texts[row] for row in range(len(new.texts))), *replayed_texts]).save(folder, "")
        new.calibration.save(folder, "calibration_")
    else:
        first, second = cast(ImageData, new), cast(ImageData, old)
        np.save(folder / "images.npy", np.concatenate([first.images, second.images[rows]]))
        np.save(folder / "calibration.npy", first.calibration)
    np.save(folder / "labels.npy", np.concatenate([new.labels, old.labels[rows]]))
    replayed = np.full(len(rows), SPLITS.index("train"), np.uint8)
    np.save(folder / "split.npy", np.concatenate([new.split, replayed]))
    facts = {**new.facts, "replayed": len(rows), "sha256": f"{new.facts['sha256']}+{old.facts['sha256']}"}
    (folder / "data.json").write_text(json.dumps(facts, allow_nan=False), encoding="utf-8")
    return facts
