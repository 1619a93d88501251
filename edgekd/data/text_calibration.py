"""The calibration texts, and how their tokens differ from those of the training texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.calibration import Load, coverage, draw_set, facts_of
from edgekd.data.drawing import Drawn
from edgekd.data.prepared import Prepared, digest
from edgekd.data.ragged import Ragged
from edgekd.data.reader import Reader, Sample
from edgekd.data.section import DataSection
from edgekd.data.tokenize import Tokenizer

# Domain shift: the share of tokens that no training text has. 100 test texts of Banking77 against its 9,000 training
# texts: at most 0.9 % in 30 draws; against 600 training texts: 4 %; 300 lines of Wikipedia: 34 %.
UNSEEN_SHARE = 0.1
# And the ratio of the median lengths: 0.88 to 1.08 in those draws, 4.9 for Wikipedia.
LENGTH_RATIO = 2.0


def calibration_texts(
    section: DataSection, seed: int, data: Prepared[Ragged], tokenizer: Tokenizer
) -> tuple[Ragged, dict[str, Any]]:
    """Token ids in an order that mixes the classes, and what the report says about them.

    Raises:
        DataError: see `draw_set`.
    """

    def read(reader: Reader, samples: Sequence[Sample]) -> Iterator[Load]:
        return (partial(np.asarray, encoded.ids) for _, encoded in tokenizer.encode(samples, reader))

    drawn = draw_set(section, seed, data, read)
    texts = Ragged.of(drawn.samples)
    tagged = section.calibration.reader is None and len(data.labels) != len(data.split)
    covered = coverage(_token_labels(drawn, data) if tagged else drawn.labels, data.classes)
    sha256 = hashlib.sha256(texts.offsets.tobytes() + texts.values.tobytes()).hexdigest()
    shift = _shift(texts, data, tokenizer.unknown_id)
    return texts, facts_of(section, drawn, covered, sha256, shift, _warnings(shift))


def _token_labels(drawn: Drawn, data: Prepared[Ragged]) -> list[int]:
    """The labels of the drawn texts' labelled tokens."""
    where = {data.digests[index]: index for index in map(int, data.indices("train"))}
    chosen = np.array([where[digest(ids)] for ids in drawn.samples], np.int64)
    labels = data.labels[data.samples.flat(chosen)]
    return labels[labels >= 0].tolist()


def _shift(texts: Ragged, data: Prepared[Ragged], unknown_id: int | None) -> dict[str, float | None]:
    """How the calibration texts differ from the training texts, in tokens."""
    train = data.indices("train")
    tokens = np.asarray(data.samples.values[data.samples.flat(train)])
    return {
        "unseen_share": round(1 - np.count_nonzero(np.isin(texts.values, tokens)) / len(texts.values), 6),
        "unknown_share": unknown_share(texts.values, unknown_id),
        "train_unknown_share": unknown_share(tokens, unknown_id),
        "median_length": float(np.median(texts.lengths)),
        "train_median_length": float(np.median(data.samples.lengths[train])),
    }


def unknown_share(tokens: NDArray[np.int32], unknown_id: int | None) -> float | None:
    """Share of unknown tokens; None when the tokenizer knows everything."""
    return None if unknown_id is None else round(np.count_nonzero(tokens == unknown_id) / len(tokens), 6)


def _warnings(shift: dict[str, float | None]) -> list[str]:
    unseen = shift["unseen_share"] or 0.0
    ratio = (shift["median_length"] or 1.0) / (shift["train_median_length"] or 1.0)
    if unseen <= UNSEEN_SHARE and 1 / LENGTH_RATIO <= ratio <= LENGTH_RATIO:
        return []
    return [
        "the calibration set looks like another domain than the training data: "
        f"{100 * unseen:.1f} % of its tokens do not occur there (expected within {100 * UNSEEN_SHARE:g} %), and its "
        f"median length is {ratio:.2f} times theirs (expected {1 / LENGTH_RATIO:g} to {LENGTH_RATIO:g})"
    ]
