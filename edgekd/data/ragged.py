"""Sequences of different lengths in one flat array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions `start .. start + length - 1` of each span, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)


@dataclass(frozen=True)
class Ragged:
    """N sequences of token ids.

    Attributes:
        values: all tokens of all sequences, int32.
        offsets: `(N + 1,)` int64; sequence i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[NDArray[np.int32]]) -> Ragged:
        """Packs sequences."""
        lengths = [len(sequence) for sequence in sequences]
        flat = np.concatenate(sequences) if sequences else np.zeros(0, np.int32)
        return cls(flat.astype(np.int32), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return np.asarray(self.values[self.offsets[index] : self.offsets[index + 1]])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`(N,)` tokens of each sequence."""
        return np.diff(self.offsets)

    def flat(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in `values` of these sequences' tokens, one sequence after the other."""
        return spans(self.offsets[indices], self.lengths[indices])

    def padded(self, indices: NDArray[np.int64], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`(B, T)` ids, padded on the right to the longest, and the mask: 1 for a token, 0 for padding."""
        lengths = self.lengths[indices]
        mask = np.arange(max(int(lengths.max(initial=0)), 1)) < lengths[:, None]  # (B, T)
        ids = np.full(mask.shape, pad, np.int64)
        ids[mask] = self.values[self.flat(indices)]
        return ids, mask.astype(np.int64)

    def by_length(self, size: int) -> Iterator[NDArray[np.int64]]:
        """Indices in groups of one length, at most `size` at once, shortest first."""
        lengths = self.lengths
        for length in np.unique(lengths):
            found = np.flatnonzero(lengths == length)
            yield from (found[start : start + size] for start in range(0, len(found), size))

    def save(self, folder: Path, stem: str) -> None:
        """Writes `<stem>tokens.npy` and `<stem>offsets.npy`."""
        np.save(folder / f"{stem}tokens.npy", self.values)
        np.save(folder / f"{stem}offsets.npy", self.offsets)

    @classmethod
    def load(cls, folder: Path, stem: str) -> Ragged:
        """Opens what `save` wrote."""
        values = np.load(folder / f"{stem}tokens.npy", mmap_mode="r")
        return cls(values, np.load(folder / f"{stem}offsets.npy"))
