"""From a reader to arrays on disk: decode once, split in three, normalise, draw the calibration set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.arrays import Preprocess
from edgekd.data.calibration import calibrate
from edgekd.data.corrupt import Corrupt, refuse, skipped
from edgekd.data.listing import list_samples
from edgekd.data.prepared import Prepared, digest
from edgekd.data.reader import CorruptSample, Reader, Sample
from edgekd.data.section import DataSection
from edgekd.data.splits import assign
from edgekd.data.statistics import histogram, moments
from edgekd.data.stream import GrowingArray, decode_all
from edgekd.errors import DataError, StoreError
from edgekd.progress import Progress


def prepare_images(section: DataSection, seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """See `edgekd.data.prepare`."""
    listing = list_samples(section.reader)
    check_classes([sample.label for sample in listing.samples], listing.classes, section.reader, skipped=0)
    kept, digests, corrupt = _write_images(section, listing.samples, folder, progress)
    check_classes([sample.label for sample in kept], listing.classes, section.reader, skipped=len(corrupt))
    labels = np.array([sample.label for sample in kept], dtype=np.int64)
    split = assign(
        [sample.origin for sample in kept],
        labels,
        [sample.split for sample in kept],
        listing.classes,
        validation=section.validation,
        test=section.test,
        seed=seed,
    )
    images: NDArray[np.uint8] = np.load(folder / "images.npy", mmap_mode="r")
    data = Prepared(images, labels, split, digests, listing.classes)
    preprocess, flat = _preprocess(section, data)
    calibration = calibrate(section, seed, data)
    warnings = [*listing.warnings, *skipped(corrupt), *data.warnings(), *flat]
    facts: dict[str, Any] = {
        "kind": "image",
        "reader": section.reader.method_name,
        "classes": listing.classes,
        "counts": data.counts(),
        "sha256": data.sha256(),
        "licence": section.reader.terms(),
        "preprocess": preprocess.to_json(),
        "corrupt": [asdict(entry) for entry in corrupt],
        "warnings": warnings,
        "calibration": calibration.facts,
    }
    for text in [*warnings, *calibration.facts["warnings"]]:
        progress.warn(text)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "split.npy", split)
    np.save(folder / "calibration.npy", calibration.images)
    (folder / "data.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return facts


def _write_images(
    section: DataSection, samples: Sequence[Sample], folder: Path, progress: Progress
) -> tuple[list[Sample], list[bytes], list[Corrupt]]:
    """Writes images.npy; returns the samples in it, their digests, and the corrupt ones."""
    path = folder / "images.npy"
    path.unlink(missing_ok=True)
    row = (*section.image_size(), section.channels)
    _check_space(folder, (len(samples) + section.calibration.samples) * int(np.prod(row)))
    kept: list[Sample] = []
    digests: list[bytes] = []
    corrupt: list[Corrupt] = []
    stream = decode_all(samples, section.image_size(), section.channels, parallel=section.reader.parallel)
    with GrowingArray(path, row) as array:
        for sample, image in progress.track(stream, len(samples), "decode the images"):
            if isinstance(image, CorruptSample):
                corrupt.append(Corrupt(sample.origin, str(image)))
            else:
                array.append(image)
                kept.append(sample)
                digests.append(digest(image))
    if section.on_corrupt == "refuse":
        refuse(section.reader, corrupt)
    return kept, digests, corrupt


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            "the prepared images do not fit on the disk",
            where=folder,
            received=f"{free / 1e6:.0f} MB free",
            accepted=f"{needed / 1e6:.0f} MB",
            hint="free some space, choose another place with --store, or a smaller data.size",
        )


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


def _preprocess(section: DataSection, data: Prepared[NDArray[np.uint8]]) -> tuple[Preprocess, list[str]]:
    """The normalisation, and warnings about channels that hold one value only."""
    if section.normalize != "auto":
        given = section.normalize
        return Preprocess(tuple(given.mean), tuple(given.std), section.image_size(), section.channels), []
    mean, std = moments(histogram(data.samples, data.indices("train")))
    flat = [f"all training pixels of channel {channel} are equal" for channel, value in enumerate(std) if value == 0]
    scale = tuple(float(value) or 1.0 for value in std)
    return Preprocess(tuple(float(value) for value in mean), scale, section.image_size(), section.channels), flat
