"""From a reader's texts to token ids, by a tokenizer.json of the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.backends import need
from edgekd.data.reader import Content, CorruptSample, Reader, Sample
from edgekd.errors import DataError
from edgekd.model_folder import read_json

IGNORED = -100  # the same as edgekd.distill.loss.IGNORED: a token without a label of its own
CHUNK = 1024  # texts per call: the library tokenises them on all cores
PAD_TOKENS = ("[PAD]", "<pad>", "<|pad|>")


@dataclass(frozen=True)
class Encoded:
    """A tokenised text.

    Attributes:
        ids: token ids, special tokens included.
        labels: a class per token, `IGNORED` for all but the first token of each word; None without word labels.
        truncated: it was longer than is kept.
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.int64] | None
    truncated: bool


class Tokenizer:
    """A tokenizer file, set to truncate and not to pad.

    Attributes:
        pad_id: id of the padding token.
        unknown_id: id of the token for what the vocabulary lacks, or None.

    Raises:
        DataError: the file cannot be read, or has no padding token.
        MissingBackend: the `tokenizers` package is not installed.
    """

    def __init__(self, path: Path, max_length: int) -> None:
        library = need("tokenizers", extra="text")
        try:
            text = path.read_text(encoding="utf-8")
            self._tokenizer: Any = library.Tokenizer.from_str(text)
            model = cast(dict[str, Any], read_json(path).get("model") or {})
        except Exception as error:  # the library raises nothing more specific
            raise DataError(f"the tokenizer cannot be read: {error}", where=path) from error
        padding = self._tokenizer.padding
        pad = [self._tokenizer.token_to_id(name) for name in PAD_TOKENS]
        pad_id = padding["pad_id"] if padding else next((found for found in pad if found is not None), None)
        if pad_id is None:
            raise DataError("the tokenizer has no padding token", where=path, accepted=", ".join(PAD_TOKENS))
        unknown = model.get("unk_token")
        self.pad_id = int(pad_id)
        self.unknown_id: int | None = None if unknown is None else self._tokenizer.token_to_id(unknown)
        self._tokenizer.enable_truncation(max_length)
        self._tokenizer.no_padding()

    def encode(self, samples: Sequence[Sample], reader: Reader) -> Iterator[tuple[Sample, Encoded]]:
        """Every sample with its tokens, in order.

        Raises:
            DataError: a sample that is no text, or of which no token is left; all that a chunk has are named.
        """
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            texts = [_text(sample, reader) for sample in chunk]
            words = isinstance(texts[0], list)
            found = self._tokenizer.encode_batch(texts, is_pretokenized=words)
            rows = [(sample, _encoded(sample, encoding)) for sample, encoding in zip(chunk, found, strict=True)]
            empty = [reader.place(sample.origin) for sample, encoded in rows if not len(encoded.ids)]
            if empty:
                raise DataError("texts of which the tokenizer leaves nothing", where=", ".join(empty[:10]))
            yield from rows


def _text(sample: Sample, reader: Reader) -> str | list[str]:
    try:
        content: Content = sample.load()
    except CorruptSample as error:
        raise DataError(f"a text cannot be read: {error}", where=reader.place(sample.origin)) from error
    if not isinstance(content, str | list):
        raise DataError("a sample is no text", where=reader.place(sample.origin), received=type(content).__name__)
    return content


def _encoded(sample: Sample, encoding: Any) -> Encoded:
    ids = np.array(encoding.ids, np.int32)
    if sample.tags is None:
        return Encoded(ids, None, bool(encoding.overflowing))
    labels = np.full(len(ids), IGNORED, np.int64)
    before: int | None = None
    for position, word in enumerate(cast("list[int | None]", encoding.word_ids)):
        if word is not None and word != before:
            labels[position] = sample.tags[word]
        before = word
    return Encoded(ids, labels, bool(encoding.overflowing))
