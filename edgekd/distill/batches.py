"""Batches: which samples in which order, and how stored pixels and tokens reach the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgekd.data.arrays import ImageData
from edgekd.data.dataset import Dataset
from edgekd.data.texts import TextData
from edgekd.distill.augment import augmented
from edgekd.distill.settings import Augment

from_numpy = cast("Callable[[NDArray[Any]], Tensor]", torch.from_numpy)  # pyright: ignore[reportUnknownMemberType]

# Batches whose texts are sorted by length together: few enough that a batch stays a mixture, enough to save most of the
# padding (Banking77 in batches of 32: 65 % of the tokens are padding in random batches, 6 % in these).
WINDOW = 32
INFERENCE_TEXTS = 32  # attention scores of 12 heads at 512 tokens: 400 MB


def epoch_order(train: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The training samples in the order of one epoch, a pure function of (seed, epoch)."""
    return train[np.random.default_rng([seed, epoch]).permutation(len(train))]


class Batches(ABC):
    """Turns sample indices into the network's inputs and what they are compared with."""

    @abstractmethod
    def inputs(self, indices: NDArray[np.int64], variant: int = 0) -> tuple[Tensor, ...]:
        """What the network reads, `model(*inputs)`, in the given augmentation variant."""

    @abstractmethod
    def labels(self, indices: NDArray[np.int64]) -> Tensor:
        """One int64 class index per row of the outputs."""

    def epoch(self, train: NDArray[np.int64], seed: int, epoch: int, batch_size: int) -> list[NDArray[np.int64]]:
        """The whole batches of one epoch, a pure function of (seed, epoch); what fills no batch is left out."""
        order = epoch_order(train, seed, epoch)
        return [order[start : start + batch_size] for start in range(0, len(order) - batch_size + 1, batch_size)]

    def chunks(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Positions in `indices` in the batches of an inference."""
        places = np.arange(len(indices))
        yield from (places[start : start + batch_size] for start in range(0, len(places), batch_size))

    def trial(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Two samples that show whether a network can read the set."""
        return indices[:2]

    def counts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows each sample has in the outputs."""
        return np.ones(len(indices), np.int64)

    def mask(self, inputs: tuple[Tensor, ...]) -> Tensor | None:
        """`(B, T)` bool, true for real tokens; None for images."""
        return None

    def rows(self, outputs: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The outputs with one row per label: those of padding left out where tokens are classified."""
        return outputs


def batches_of(data: Dataset, device: torch.device, augment: Augment | None = None, seed: int = 0) -> Batches:
    """The batches of a prepared set.

    Args:
        data: the prepared images or texts.
        device: where the tensors go.
        augment: random crops and flips of images, or none.
        seed: of the augmentation.
    """
    if isinstance(data, TextData):
        return TextBatches(data, device)
    return ImageBatches(cast(ImageData, data), device, augment, seed)


class ImageBatches(Batches):
    """Normalised `(B, C, H, W)` float32 tensors in channels-last memory order; pixels travel as uint8."""

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

    def inputs(self, indices: NDArray[np.int64], variant: int = 0) -> tuple[Tensor, ...]:
        """See Batches.inputs."""
        return (self.images(indices, variant),)

    def images(self, indices: NDArray[np.int64], variant: int = 0) -> Tensor:
        """`(B, C, H, W)` of these samples, in the given augmentation variant."""
        pixels = np.asarray(self._images[indices])  # (B, H, W, C) uint8
        pixels = np.ascontiguousarray(augmented(pixels, self._augment, self._seed, variant, indices))
        rows = from_numpy(pixels).to(self._device).flatten(2).to(torch.float32)  # (B, H, W * C)
        normal = torch.addcmul(self._shift, rows, self._scale)
        return normal.view(pixels.shape).permute(0, 3, 1, 2)  # (B, C, H, W), channels last in memory

    def labels(self, indices: NDArray[np.int64]) -> Tensor:
        """`(B,)` int64 class indices."""
        return self._labels[from_numpy(indices).to(self._device)]


class TextBatches(Batches):
    """`(B, T)` int64 token ids and attention mask, padded to the longest text of the batch."""

    def __init__(self, data: TextData, device: torch.device) -> None:
        self._data, self._device = data, device
        self._lengths = data.texts.lengths
        self._tokens = data.task == "token_classification"

    def inputs(self, indices: NDArray[np.int64], variant: int = 0) -> tuple[Tensor, ...]:
        """See Batches.inputs; texts have no variants."""
        ids, mask = self._data.inputs(indices)
        return from_numpy(ids).to(self._device), from_numpy(mask).to(self._device)

    def labels(self, indices: NDArray[np.int64]) -> Tensor:
        """`(B,)` int64 class indices; `(tokens of all texts,)` where tokens are classified."""
        return from_numpy(self._data.targets(indices)).to(self._device)

    def epoch(self, train: NDArray[np.int64], seed: int, epoch: int, batch_size: int) -> list[NDArray[np.int64]]:
        """Batches of texts of similar length, in random order: within each window, texts are sorted by length."""
        plain = super().epoch(train, seed, epoch, batch_size)
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(plain), WINDOW):
            window = np.concatenate(plain[start : start + WINDOW])
            window = window[np.argsort(self._lengths[window], kind="stable")]
            batches += np.split(window, len(window) // batch_size)
        order = np.random.default_rng([seed, epoch, 1]).permutation(len(batches))
        return [batches[index] for index in order]

    def chunks(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Positions in `indices`, texts of similar length together."""
        order = np.argsort(self._lengths[indices], kind="stable")
        size = min(batch_size, INFERENCE_TEXTS)
        yield from (order[start : start + size] for start in range(0, len(order), size))

    def trial(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """One text, and the one with the largest token id: a network of another vocabulary has no vector for it."""
        texts = self._data.texts
        return np.array([indices[0], np.searchsorted(texts.offsets, texts.values.argmax(), side="right") - 1])

    def counts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each text, where tokens are classified."""
        return self._lengths[indices] if self._tokens else super().counts(indices)

    def mask(self, inputs: tuple[Tensor, ...]) -> Tensor | None:
        """The attention mask."""
        return inputs[1].bool()

    def rows(self, outputs: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """`(B, T, K)` without padding: `(real tokens, K)`."""
        return outputs[inputs[1].bool()] if self._tokens and outputs.ndim == 3 else outputs
