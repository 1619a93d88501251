"""The calibration images, and how their pixels differ from those of the training images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.calibration import Load, coverage, draw_set, facts_of
from edgekd.data.corrupt import Corrupt, skipped
from edgekd.data.prepared import Prepared
from edgekd.data.reader import CorruptSample, Reader, Sample
from edgekd.data.section import DataSection
from edgekd.data.statistics import histogram, moments
from edgekd.data.stream import decode_one

# Domain shift, in units of the training pixels. A set drawn from the training data itself wanders: the mean of one
# image varies by about 0.55 of the pixels' deviation (CIFAR-10), so that of 100 images by 0.055. In 200 draws of 100
# the largest shift of any channel was 0.17; inverted, half as bright or foreign images exceed 0.25.
MEAN_SHIFT = 0.25
# The same for contrast: in those draws the deviation was 0.89 to 1.08 times that of the training data.
STD_RATIO = 1.25

Images = NDArray[np.uint8]


def calibration_images(section: DataSection, seed: int, data: Prepared[Images]) -> tuple[Images, dict[str, Any]]:
    """`(K, H, W, C)` uint8 images in an order that mixes the classes, and what the report says about them.

    Raises:
        DataError: see `draw_set`.
    """
    corrupt: list[Corrupt] = []

    def load(sample: Sample) -> Images | None:
        image = decode_one(sample, section.image_size(), section.channels)
        if isinstance(image, CorruptSample):
            corrupt.append(Corrupt(sample.origin, str(image)))
            return None
        return image

    def read(reader: Reader, samples: Sequence[Sample]) -> Iterator[Load]:
        return (partial(load, sample) for sample in samples)

    drawn = draw_set(section, seed, data, read, corrupt)
    images = np.stack(drawn.samples)
    shift, warnings = domain_shift(images, data)
    sha256 = hashlib.sha256(repr(images.shape).encode() + images.tobytes()).hexdigest()
    covered = coverage(drawn.labels, data.classes)
    return images, facts_of(section, drawn, covered, sha256, shift, [*warnings, *skipped(corrupt)])


def domain_shift(images: Images, data: Prepared[Images]) -> tuple[dict[str, list[float]], list[str]]:
    """Per channel, the shift of the mean and the ratio of the deviations to the training data; and what to warn of."""
    train_mean, train_std = moments(histogram(data.samples, data.indices("train")))
    mean, std = moments(histogram(images, np.arange(len(images))))
    unit = np.where(train_std > 0, train_std, 1)
    shift, ratio = (mean - train_mean) / unit, std / unit
    found = {
        "channel_mean_shift": [round(float(value), 6) for value in shift],
        "channel_std_ratio": [round(float(value), 6) for value in ratio],
    }
    return found, _warnings(shift, ratio)


def _warnings(shift: NDArray[np.float64], ratio: NDArray[np.float64]) -> list[str]:
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
