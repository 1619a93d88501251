"""A small image set that can be learnt, and small networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgekd.data.arrays import ImageData, Preprocess


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data() -> ImageData:
    """96 training, 48 validation and 48 test images, 8x8 RGB; the class is the brightest channel."""
    rng = np.random.default_rng(3)
    labels = np.arange(192) % 3
    images = rng.integers(0, 160, (192, 8, 8, 3), dtype=np.uint8)
    images[np.arange(192), :, :, labels] += 60
    split = np.array([0, 0, 1, 2], np.uint8)[np.arange(192) // 3 % 4]
    preprocess = Preprocess((0.4, 0.4, 0.4), (0.25, 0.25, 0.25), (8, 8), 3)
    return ImageData(
        images=images,
        labels=labels,
        split=split,
        classes=("red", "green", "blue"),
        preprocess=preprocess,
        calibration=images[:8],
        facts={"sha256": "synthetic"},
    )
