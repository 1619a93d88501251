"""The calibration set: images of the user's domain that set the quantization ranges, never seen in the test split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.corrupt import Corrupt, refuse, skipped
from edgekd.data.drawing import Candidate, Drawn, draw
from edgekd.data.listing import list_samples
from edgekd.data.prepared import Prepared
from edgekd.data.reader import CorruptSample, Reader, Sample
from edgekd.data.section import DataSection
from edgekd.data.statistics import histogram, moments
from edgekd.data.stream import decode_one
from edgekd.errors import DataError

# The vendors' advice starts here (LiteRT: "around 100 to 500 samples"; NNCF takes 300, TensorRT advises 500).
FEW_SAMPLES = 100

# Domain shift, in units of the training pixels. A set drawn from the training data itself wanders: the mean of one
# image varies by about 0.55 of the pixels' deviation (CIFAR-10), so that of 100 images by 0.055. In 200 draws of 100
# the largest shift of any channel was 0.17; inverted, half as bright or foreign images exceed 0.25.
MEAN_SHIFT = 0.25
# The same for contrast: in those draws the deviation was 0.89 to 1.08 times that of the training data.
STD_RATIO = 1.25


@dataclass(frozen=True)
class CalibrationSet:
    """The images, `(K, H, W, C)` uint8 in an order that mixes the classes, and what the report says about them."""

    images: NDArray[np.uint8]
    facts: dict[str, Any]


def calibrate(section: DataSection, seed: int, data: Prepared[NDArray[np.uint8]]) -> CalibrationSet:
    """Draws the set from the training split, or from the recipe's own calibration reader.

    Raises:
        DataError: the reader fails, has corrupt images (`on_corrupt: refuse`), or nothing is left to use.
    """
    reader = section.calibration.reader
    corrupt: list[Corrupt] = []
    if reader is None:
        candidates = [
            Candidate(partial(_row, data.samples, int(index)), int(data.labels[index]))
            for index in data.indices("train")
        ]
    else:
        candidates = _candidates(section, reader, data.classes, corrupt)
    drawn = draw(candidates, section.calibration.samples, data.digests_of("test"), seed)
    if reader is not None and section.on_corrupt == "refuse":
        refuse(reader, corrupt)
    if not drawn.samples:
        raise DataError(
            "no calibration image remains outside the test split",
            where="data.calibration",
            received=f"{len(candidates)} images, {drawn.overlap_removed} in the test split, {len(corrupt)} corrupt",
            accepted="images that are not tested on",
        )
    images = np.stack(drawn.samples)
    facts = describe(images, drawn, data, wanted=section.calibration.samples)
    facts["source"] = "train" if reader is None else reader.method_name
    facts["licence"] = (reader or section.reader).terms()
    facts["warnings"] += skipped(corrupt)
    return CalibrationSet(images, facts)


def _row(images: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    return np.array(images[index])


def _candidates(
    section: DataSection, reader: Reader, classes: Sequence[str], corrupt: list[Corrupt]
) -> list[Candidate]:
    """The images of the user's own reader that it does not call test images; corrupt ones are noted when met."""
    listing = list_samples(reader, labelled=False)
    index = {name: label for label, name in enumerate(classes)}
    known = bool(listing.classes) and set(listing.classes) <= set(classes)

    def load(sample: Sample) -> NDArray[np.uint8] | None:
        image = decode_one(sample, section.image_size(), section.channels)
        if isinstance(image, CorruptSample):
            corrupt.append(Corrupt(sample.origin, str(image)))
            return None
        return image

    def label_of(sample: Sample) -> int | None:
        return index[listing.classes[sample.label]] if known and sample.label is not None else None

    return [Candidate(partial(load, s), label_of(s)) for s in listing.samples if s.split != "test"]


def describe(
    images: NDArray[np.uint8], drawn: Drawn, data: Prepared[NDArray[np.uint8]], *, wanted: int
) -> dict[str, Any]:
    """The facts of a set: size, coverage, hash, distance to the training data, and what to warn about.

    Args:
        images: `(K, H, W, C)`, K at least 1.
        drawn: how it was drawn.
        data: the training data it is compared with.
        wanted: the size that the recipe asks for.
    """
    known = [label for label in drawn.labels if label is not None]
    per_class = np.bincount(known, minlength=len(data.classes)) if known else None
    coverage = None if per_class is None else {name: int(n) for name, n in zip(data.classes, per_class, strict=True)}
    train_mean, train_std = moments(histogram(data.samples, data.indices("train")))
    mean, std = moments(histogram(images, np.arange(len(images))))
    unit = np.where(train_std > 0, train_std, 1)
    shift, ratio = (mean - train_mean) / unit, std / unit
    return {
        "samples": len(images),
        "coverage": coverage,
        "sha256": hashlib.sha256(repr(images.shape).encode() + images.tobytes()).hexdigest(),
        "overlap_removed": drawn.overlap_removed,
        "domain_shift": {
            "channel_mean_shift": [round(float(value), 6) for value in shift],
            "channel_std_ratio": [round(float(value), 6) for value in ratio],
        },
        "warnings": size_warnings(len(images), wanted, coverage, "images") + _shift_warnings(shift, ratio),
    }


def size_warnings(samples: int, wanted: int, coverage: dict[str, int] | None, what: str) -> list[str]:
    """A set smaller than asked for or than is wise, and classes that it lacks; `what`: images or texts."""
    warnings: list[str] = []
    if samples < wanted:
        warnings.append(f"the calibration set has {samples} {what}, {wanted} were asked for: there are no more")
    if samples < FEW_SAMPLES:
        warnings.append(f"the calibration set has {samples} {what}; below {FEW_SAMPLES} the ranges are unreliable")
    if coverage is None:
        return [*warnings, "the calibration set is unlabelled or of other classes: its class coverage is unknown"]
    missing = [name for name, count in coverage.items() if count == 0]
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        reached = f"{len(coverage) - len(missing)} of {len(coverage)} classes"
        warnings.append(f"the calibration set covers {reached}; without: {shown}")
    return warnings


def _shift_warnings(shift: NDArray[np.float64], ratio: NDArray[np.float64]) -> list[str]:
    low, high = 1 / STD_RATIO, STD_RATIO
    if np.abs(shift).max() <= MEAN_SHIFT and ratio.max() <= high and ratio.min() >= low:
        return []
    shifts = ", ".join(f"{value:+.2f}" for value in shift)
    ratios = ", ".join(f"{value:.2f}" for value in ratio)
    return [
        "the calibration set looks like another domain than the training data: its channel means lie "
        f"{shifts} training deviations away (expected within {MEAN_SHIFT}), its contrast is {ratios} times "
        f"that of the training data (expected {low:.2f} to {high:.2f})"
    ]
