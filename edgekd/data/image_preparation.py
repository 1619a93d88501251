"""From a reader to pixels on disk: decode once, split in three, normalise, draw the calibration set."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.arrays import Preprocess
from edgekd.data.corrupt import Corrupt, refuse, skipped
from edgekd.data.image_calibration import calibration_images
from edgekd.data.listing import list_samples
from edgekd.data.preparation import check_classes, finish, split_of
from edgekd.data.prepared import Prepared, digest
from edgekd.data.reader import CorruptSample, Sample
from edgekd.data.section import DataSection
from edgekd.data.statistics import histogram, moments
from edgekd.data.stream import GrowingArray, decode_all
from edgekd.errors import StoreError
from edgekd.progress import Progress


def prepare_images(section: DataSection, seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """See `edgekd.data.prepare`."""
    listing = list_samples(section.reader)
    check_classes([sample.label for sample in listing.samples], listing.classes, section.reader, skipped=0)
    kept, digests, corrupt = _write_images(section, listing.samples, folder, progress)
    check_classes([sample.label for sample in kept], listing.classes, section.reader, skipped=len(corrupt))
    labels = np.array([sample.label for sample in kept], dtype=np.int64)
    split = split_of(section, seed, kept, labels, listing.classes)
    images: NDArray[np.uint8] = np.load(folder / "images.npy", mmap_mode="r")
    data = Prepared(images, labels, split, digests, listing.classes)
    preprocess, flat = _preprocess(section, data)
    calibration, about = calibration_images(section, seed, data)
    np.save(folder / "calibration.npy", calibration)
    own = {
        "corrupt": [asdict(entry) for entry in corrupt],
        "warnings": [*listing.warnings, *skipped(corrupt), *data.warnings(), *flat],
    }
    return finish(section, data, preprocess, own, about, folder, progress)


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


def _preprocess(section: DataSection, data: Prepared[NDArray[np.uint8]]) -> tuple[Preprocess, list[str]]:
    """The normalisation, and warnings about channels that hold one value only."""
    if section.normalize != "auto":
        given = section.normalize
        return Preprocess(tuple(given.mean), tuple(given.std), section.image_size(), section.channels), []
    mean, std = moments(histogram(data.samples, data.indices("train")))
    flat = [f"all training pixels of channel {channel} are equal" for channel, value in enumerate(std) if value == 0]
    scale = tuple(float(value) or 1.0 for value in std)
    return Preprocess(tuple(float(value) for value in mean), scale, section.image_size(), section.channels), flat
