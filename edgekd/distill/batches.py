"""Batches: which samples in which order, and how uint8 pixels reach the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgekd.data.arrays import ImageData
from edgekd.distill.augment import augmented
from edgekd.distill.settings import Augment

from_numpy = cast("Callable[[NDArray[Any]], Tensor]", torch.from_numpy)  # pyright: ignore[reportUnknownMemberType]


def epoch_order(train: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The training samples in the order of one epoch, a pure function of (seed, epoch)."""
    return train[np.random.default_rng([seed, epoch]).permutation(len(train))]


class Batches:
    """Turns sample indices into normalised `(B, C, H, W)` float32 tensors in channels-last memory order.

    Args:
        data: the prepared images.
        device: where the tensors go; pixels travel as uint8.
        augment: random crops and flips, or none.
        seed: of the augmentation.
    """

    def __init__(self, data: ImageData, device: torch.device, augment: Augment | None = None, seed: int = 0) -> None:
        self._images = data.images
        self._labels = from_numpy(np.asarray(data.labels, np.int64)).to(device)
        self._device = device
        self._augment = augment or Augment()
        self._seed = seed
        mean, std = np.asarray(data.preprocess.mean), np.asarray(data.preprocess.std)
        width = data.images.shape[2]
        # One factor per value of an image row: a whole row is scaled by one vector instruction after the other.
        self._scale = torch.tensor(np.tile(1 / (255 * std), width), dtype=torch.float32, device=device)  # (W * C)
        self._shift = torch.tensor(np.tile(-mean / std, width), dtype=torch.float32, device=device)  # (W * C)

    def images(self, indices: NDArray[np.int64], variant: int = 0) -> Tensor:
        """The network's input for these samples, in the given augmentation variant."""
        pixels = np.asarray(self._images[indices])  # (B, H, W, C) uint8
        pixels = np.ascontiguousarray(augmented(pixels, self._augment, self._seed, variant, indices))
        rows = from_numpy(pixels).to(self._device).flatten(2).to(torch.float32)  # (B, H, W * C)
        normal = torch.addcmul(self._shift, rows, self._scale)
        return normal.view(pixels.shape).permute(0, 3, 1, 2)  # (B, C, H, W), channels last in memory

    def labels(self, indices: NDArray[np.int64]) -> Tensor:
        """`(B,)` int64 class indices."""
        return self._labels[from_numpy(indices).to(self._device)]
