"""From a reader's samples to a set on disk: what images and texts share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import Preprocessing, Split
from edgekd.data.prepared import Prepared
from edgekd.data.reader import Reader, Sample
from edgekd.data.section import DataSection
from edgekd.data.splits import assign
from edgekd.errors import DataError
from edgekd.progress import Progress


def check_classes(labels: Sequence[int | None], classes: Sequence[str], reader: Reader, *, skipped: int) -> None:
    """Refuses classes without samples; `skipped` images were corrupt."""
    present = set(labels)
    empty = [name for label, name in enumerate(classes) if label not in present]
    if empty:
        also = f" after {skipped} corrupt images were skipped" if skipped else ""
        raise DataError(
            f"classes with no samples{also}",
            where=reader.method_name,
            received=", ".join(empty),
            accepted="at least one sample per class",
            hint="add samples, or remove these classes",
        )


def split_of(
    section: DataSection, seed: int, samples: Sequence[Sample], labels: NDArray[np.int64], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """The split of every sample, by the recipe's fractions; see `edgekd.data.splits.assign`."""
    origins = [sample.origin for sample in samples]
    given: list[Split | None] = [sample.split for sample in samples]
    return assign(origins, labels, given, classes, validation=section.validation, test=section.test, seed=seed)


def finish(
    section: DataSection,
    data: Prepared[Any],
    preprocess: Preprocessing,
    own: dict[str, Any],
    calibration: dict[str, Any],
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Tells every warning, writes labels, split and facts, and returns the facts.

    Args:
        section: the recipe's `data:` block.
        data: the prepared samples.
        preprocess: how a raw sample becomes the network's input.
        own: facts that only this kind of samples has.
        calibration: the facts of the calibration set.
        folder: where the samples are already.
        progress: told about every warning.
    """
    facts: dict[str, Any] = {
        "kind": section.reader.kind,
        "reader": section.reader.method_name,
        "classes": list(data.classes),
        "counts": data.counts(),
        "sha256": data.sha256(),
        "licence": section.reader.terms(),
        "preprocess": preprocess.to_json(),
        **own,
        "calibration": calibration,
    }
    for text in [*facts["warnings"], *calibration["warnings"]]:
        progress.warn(text)
    np.save(folder / "labels.npy", data.labels)
    np.save(folder / "split.npy", data.split)
    (folder / "data.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return facts
