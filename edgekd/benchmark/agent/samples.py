"""What an artifact is run on: images, or texts as token ids, in batches of the model's inputs."""

from __future__ import annotations

from typing import Any

import bundle
import numpy as np

# Sequence lengths that are measured unless the job says which: half of the texts are shorter than the first, and
# nearly all than the second.
PERCENTILES = (50, 95)
# Batches that are prepared in advance and used in turn, so that no run finds its input in the cache from the last one.
DISTINCT_BATCHES = 8


class BadJob(Exception):
    """The job cannot be done as it is written."""


class Images:
    """`(N, H, W, C)` uint8, memory-mapped."""

    noun = "images"

    def __init__(self, pixels: np.ndarray[Any, Any], preprocess: dict[str, Any], described: str) -> None:
        self._pixels, self._preprocess, self.described = pixels, preprocess, described

    def __len__(self) -> int:
        return len(self._pixels)

    def lengths(self, job: dict[str, Any], chosen: np.ndarray[Any, Any]) -> list[Any]:
        """Images have one setting per batch size."""
        return [None]

    def order(self, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Positions in `chosen`, in the order in which they are best run."""
        return np.arange(len(chosen))

    def batch(self, indices: np.ndarray[Any, Any], length: int | None = None) -> Any:
        """`(B, C, H, W)` float32."""
        return bundle.preprocess(np.asarray(self._pixels[indices]), self._preprocess)

    def rows(self, output: np.ndarray[Any, Any], indices: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """Each sample's share of a batch's output, `(1, K)`."""
        return [row[None] for row in output]

    def count(self, chosen: np.ndarray[Any, Any], output: list[Any]) -> int:
        """Rows that the logits must have."""
        return len(chosen)


class Texts:
    """N texts in one flat array of token ids: text i is `tokens[offsets[i]:offsets[i + 1]]`."""

    noun = "texts"
    described = "test texts"

    def __init__(self, tokens: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any], preprocess: dict[str, Any]) -> None:
        self._tokens, self._offsets = tokens, offsets
        self._limit, self._pad = int(preprocess["max_length"]), int(preprocess["pad_id"])

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def _sizes(self, indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.minimum(self._offsets[indices + 1] - self._offsets[indices], self._limit)

    def lengths(self, job: dict[str, Any], chosen: np.ndarray[Any, Any]) -> list[Any]:
        """The sequence lengths to measure: the job's, or those of the texts themselves."""
        sizes = np.sort(self._sizes(chosen))
        found = job.get("sequence_lengths") or [sizes[-(-(len(sizes) - 1) * percent // 100)] for percent in PERCENTILES]
        return list(dict.fromkeys(int(length) for length in found))

    def order(self, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Shortest first, so that little of a batch is padding."""
        return np.argsort(self._sizes(chosen), kind="stable")

    def batch(self, indices: np.ndarray[Any, Any], length: int | None = None) -> Any:
        """Token ids and mask `(B, T)` int64; T is the longest text's, or `length`: cut there, or padded to it."""
        sizes = self._sizes(indices) if length is None else np.minimum(self._sizes(indices), length)
        ids = np.full((len(indices), length or max(1, int(sizes.max()))), self._pad, np.int64)
        mask = (np.arange(ids.shape[1]) < sizes[:, None]).astype(np.int64)
        for row, (index, size) in enumerate(zip(indices, sizes)):
            ids[row, :size] = self._tokens[self._offsets[index] : self._offsets[index] + size]
        return ids, mask

    def rows(self, output: np.ndarray[Any, Any], indices: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """Each text's share of a batch's output: `(1, K)`, or `(T, K)` of its own tokens where each has logits."""
        if output.ndim == 2:
            return [row[None] for row in output]
        return [row[:size] for row, size in zip(output, self._sizes(indices))]

    def count(self, chosen: np.ndarray[Any, Any], output: list[Any]) -> int:
        """Rows that the logits must have: one per text, or per token where the model's output says so."""
        return len(chosen) if len(output) == 2 else int(self._sizes(chosen).sum())


def load(job: dict[str, Any], manifest: dict[str, Any]) -> Any:
    """The job's samples.

    Raises:
        BadJob: there are none, or they are not what the model reads.
    """
    recorded = manifest["preprocess"]
    if recorded.get("kind") == "text":
        if job.get("tokens") is None or job.get("offsets") is None:
            raise BadJob("a model of texts needs tokens and offsets")
        tokens, offsets = (np.load(job[name], mmap_mode="r", allow_pickle=False) for name in ("tokens", "offsets"))
        is_ragged = tokens.ndim == offsets.ndim == 1 and len(offsets) and offsets[0] == 0 and offsets[-1] == len(tokens)
        if not is_ragged or np.any(np.diff(offsets) < 0):
            raise BadJob("offsets must rise from 0 to the number of tokens")
        return Texts(tokens, offsets, recorded)
    size = (*recorded["size"], recorded["channels"])
    if job.get("images") is None:
        if job["task"] == "predict":
            raise BadJob("a prediction needs images")
        pixels = np.random.default_rng(0).integers(0, 256, (DISTINCT_BATCHES, *size), np.uint8)
        return Images(pixels, recorded, "random pixels")
    images = np.load(job["images"], mmap_mode="r", allow_pickle=False)
    if images.dtype != np.uint8 or images.shape[1:] != size:
        raise BadJob(f"images must be uint8 (N, {', '.join(map(str, size))}), got {images.dtype} {images.shape}")
    return Images(images, recorded, "test images")
