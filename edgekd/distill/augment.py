"""Random crops and flips of uint8 batches, decided by a hash and not by a random stream.

Each sample's offsets and flip follow from (seed, variant, sample index) alone, so that a resumed training, a cached
teacher and an uninterrupted training see the same pixels, in whatever order and batch they come.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgekd.distill.settings import Augment

# Odd constants of splitmix64 (Steele, Lea, Flood 2014, Fast splittable pseudorandom number generators).
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)


_windows = cast(Any, sliding_window_view)  # its stub knows one axis only


def splitmix64(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A well mixed 64-bit hash of each element."""
    value = value + GOLDEN
    value = (value ^ (value >> np.uint64(30))) * MIX_1
    value = (value ^ (value >> np.uint64(27))) * MIX_2
    return value ^ (value >> np.uint64(31))


def sample_bits(seed: int, variant: int, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 random bits per sample, a pure function of (seed, variant, index)."""
    state = splitmix64(np.array([seed], np.uint64))
    state = splitmix64(state ^ np.uint64(variant))
    return splitmix64(state ^ indices.astype(np.uint64))


def augmented(
    images: NDArray[np.uint8], augment: Augment, seed: int, variant: int, indices: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Cropped and flipped copies.

    Args:
        images: `(B, H, W, C)` uint8.
        augment: what to do; nothing returns `images` as they are.
        seed: of the training.
        variant: the epoch, or the number of the cached crop.
        indices: `(B,)` which samples of the data set these are.
    """
    if not augment:
        return images
    bits = sample_bits(seed, variant, indices)
    if augment.crop_padding:
        pad = augment.crop_padding
        height, width = images.shape[1:3]
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = _windows(padded, (height, width), axis=(1, 2))  # (B, 2p+1, 2p+1, C, H, W)
        windows = windows.transpose(0, 1, 2, 4, 5, 3)
        choices = np.uint64(2 * pad + 1)
        top = (bits & np.uint64(0xFFFFFF)) % choices
        left = ((bits >> np.uint64(24)) & np.uint64(0xFFFFFF)) % choices
        images = windows[np.arange(len(images)), top.astype(np.int64), left.astype(np.int64)]  # (B, H, W, C)
    else:
        images = images.copy()
    if augment.flip:
        flip = np.flatnonzero(bits >> np.uint64(63))
        images[flip] = images[flip, :, ::-1]
    return images
