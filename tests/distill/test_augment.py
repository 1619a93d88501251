"""Crops and flips: pixel for pixel against a slow reference, and stateless."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.distill.augment import augmented, sample_bits
from edgekd.distill.settings import Augment

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
INDICES = np.arange(100, 112)


def every_outcome(image: np.ndarray, pad: int, flip: bool) -> list[np.ndarray]:
    """All crops, each also mirrored, by plain slicing."""
    height, width, _ = image.shape
    framed = np.zeros((height + 2 * pad, width + 2 * pad, 3), np.uint8)
    framed[pad : pad + height, pad : pad + width] = image
    crops = [framed[y : y + height, x : x + width] for y in range(2 * pad + 1) for x in range(2 * pad + 1)]
    return crops + [crop[:, ::-1] for crop in crops] if flip else crops


@pytest.mark.parametrize(("pad", "flip"), [(2, True), (2, False), (0, True)])
def test_every_result_is_a_crop_or_mirror_image_and_all_occur(pad: int, flip: bool) -> None:
    seen: set[int] = set()
    for variant in range(60):
        result = augmented(IMAGES, Augment(crop_padding=pad, flip=flip), 1, variant, INDICES)
        assert result.shape == IMAGES.shape and result.dtype == np.uint8
        for image, got in zip(IMAGES, result, strict=True):
            places = [i for i, want in enumerate(every_outcome(image, pad, flip)) if np.array_equal(want, got)]
            assert len(places) == 1
            seen.add(places[0])
    assert len(seen) == len(every_outcome(IMAGES[0], pad, flip))


def test_depends_on_seed_variant_and_sample_alone() -> None:
    augment = Augment(crop_padding=2, flip=True)
    whole = augmented(IMAGES, augment, 7, 3, INDICES)
    order = np.random.default_rng(1).permutation(12)
    assert np.array_equal(augmented(IMAGES[order], augment, 7, 3, INDICES[order]), whole[order])
    assert np.array_equal(augmented(IMAGES[4:5], augment, 7, 3, INDICES[4:5]), whole[4:5])
    assert not np.array_equal(augmented(IMAGES, augment, 8, 3, INDICES), whole)
    assert not np.array_equal(augmented(IMAGES, augment, 7, 4, INDICES), whole)


def test_leaves_its_input_alone() -> None:
    before = IMAGES.copy()
    augmented(IMAGES, Augment(flip=True), 0, 0, INDICES)
    assert np.array_equal(IMAGES, before)
    assert augmented(IMAGES, Augment(), 0, 0, INDICES) is IMAGES


def test_bits_are_balanced_and_independent_of_neighbours() -> None:
    bits = sample_bits(0, 0, np.arange(20_000))
    ones = np.array([((bits >> np.uint64(k)) & np.uint64(1)).mean() for k in range(64)])
    assert np.abs(ones - 0.5).max() < 0.02
    assert (
        abs(np.corrcoef((bits[1:] % np.uint64(9)).astype(float), (bits[:-1] % np.uint64(9)).astype(float))[0, 1]) < 0.03
    )
    assert len(np.unique(bits)) == 20_000
