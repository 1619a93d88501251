"""Prepared texts: tokenised once, memory-mapped ever after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import Dataset, Kind, stored
from edgekd.data.ragged import Ragged

Task = Literal["sequence_classification", "token_classification", "embedding"]
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class TextPreprocess:
    """How a text becomes token ids: by the tokenizer file beside the data, truncated, padded on the right.

    Attributes:
        max_length: tokens that are kept, special tokens included.
        pad_id: token id of padding.
        task: what the network puts out.
        tokenizer: name of the tokenizer file.
        channels: a text has none.
    """

    max_length: int
    pad_id: int
    task: Task = "sequence_classification"
    tokenizer: str = TOKENIZER
    channels: int = 0

    def to_json(self) -> dict[str, Any]:
        """The same fields as plain JSON, with the kind."""
        fields = asdict(self)
        del fields["channels"]
        return {"kind": "text", **fields}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TextPreprocess:
        """The inverse of `to_json`."""
        return cls(data["max_length"], data["pad_id"], data["task"], data["tokenizer"])


@dataclass(frozen=True, kw_only=True)
class TextData(Dataset):
    """Texts. Where tokens are classified, `labels` has one entry per token.

    They are then in the order of `texts.values`, and -100 for special tokens and all but the first token of a word.

    Attributes:
        texts: token ids of the N texts, special tokens included, memory-mapped.
        preprocess: tokenisation.
        calibration: token ids of texts of the user's domain, disjoint from the test split.
    """

    kind: ClassVar[Kind] = "text"
    texts: Ragged
    preprocess: TextPreprocess
    calibration: Ragged

    @property
    def task(self) -> Task:
        """What the network puts out."""
        return self.preprocess.task

    @property
    def shape(self) -> tuple[int, ...]:
        """Texts and tokens."""
        return len(self.texts), len(self.texts.values)

    def inputs(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`(B, T)` int64 token ids and attention mask, padded to the longest text."""
        return self.texts.padded(indices, self.preprocess.pad_id)

    def targets(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """`(B,)` classes; those of all tokens, text after text, where tokens are classified."""
        return self.labels[self.texts.flat(indices) if self.task == "token_classification" else indices]

    def calibration_batches(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The calibration texts in batches of one length each, so that no padding is observed."""
        for group in self.calibration.by_length(size):
            yield self.calibration.padded(group, self.preprocess.pad_id)

    def example(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Calibration texts of their most frequent length."""
        lengths = self.calibration.lengths
        common = np.flatnonzero(lengths == np.bincount(lengths).argmax())
        return self.calibration.padded(common[:count], self.preprocess.pad_id)

    @classmethod
    def load(cls, folder: Path) -> TextData:
        """Opens a prepared set, without reading the texts."""
        fields = stored(folder)
        return cls(
            **fields,
            preprocess=TextPreprocess.from_json(fields["facts"]["preprocess"]),
            texts=Ragged.load(folder, ""),
            calibration=Ragged.load(folder, "calibration_"),
        )
