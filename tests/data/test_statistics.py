from __future__ import annotations

import numpy as np
import pytest

from edgekd.data.statistics import BLOCK, histogram, moments


@pytest.mark.parametrize("channels", [1, 3])
def test_moments_equal_those_of_all_pixels_at_once(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2 * BLOCK + 5, 4, 3, channels), dtype=np.uint8)
    images[..., 0] //= 3
    chosen = np.arange(0, len(images), 2)
    mean, std = moments(histogram(images, chosen))
    pixels = images[chosen].astype(np.float64) / 255
    assert np.allclose(mean, pixels.mean(axis=(0, 1, 2)), atol=1e-12)
    assert np.allclose(std, pixels.std(axis=(0, 1, 2)), atol=1e-12)


def test_constant_pixels_have_no_deviation() -> None:
    mean, std = moments(histogram(np.full((3, 2, 2, 1), 51, np.uint8), np.arange(3)))
    assert mean.tolist() == [0.2] and std.tolist() == [0.0]
