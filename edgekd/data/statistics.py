"""Mean and standard deviation of pixels, exact and in bounded memory: counts of the 256 values, per channel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BLOCK = 256  # images per step: 38 MB at 224x224x3


def histogram(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(C, 256)` counts of pixel values over the images at `indices`, streamed from a memory map."""
    channels = images.shape[3]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(indices), BLOCK):
        block = images[indices[start : start + BLOCK]]  # (B, H, W, C)
        for channel in range(channels):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    return counts


def moments(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per-channel mean and population standard deviation in [0, 1] pixel units, from `(C, 256)` counts."""
    mean: list[float] = []
    std: list[float] = []
    for row in counts.tolist():  # whole numbers of any size: a flat channel has a deviation of exactly 0
        pixels = sum(row)
        total = sum(value * count for value, count in enumerate(row))
        squares = sum(value * value * count for value, count in enumerate(row))
        mean.append(total / (255 * pixels))
        std.append(math.sqrt(pixels * squares - total * total) / (255 * pixels))
    return np.array(mean), np.array(std)
