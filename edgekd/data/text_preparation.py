"""From a reader to token ids on disk: tokenise once, split in three, draw the calibration set."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.calibration import size_warnings
from edgekd.data.drawing import Candidate, Drawn, draw
from edgekd.data.listing import labels_of, list_samples
from edgekd.data.preparation import check_classes
from edgekd.data.prepared import Prepared, digest
from edgekd.data.ragged import Ragged
from edgekd.data.reader import Reader
from edgekd.data.section import DataSection
from edgekd.data.splits import assign
from edgekd.data.texts import TOKENIZER, TextPreprocess
from edgekd.data.tokenize import Tokenizer
from edgekd.errors import DataError
from edgekd.progress import Progress

PERCENTILES = (50, 90, 99, 100)

# Domain shift: the share of tokens that no training text has. 100 test texts of Banking77 against its 9,000 training
# texts: at most 0.9 % in 30 draws; against 600 training texts: 4 %; 300 lines of Wikipedia: 34 %.
UNSEEN_SHARE = 0.1
# And the ratio of the median lengths: 0.88 to 1.08 in those draws, 4.9 for Wikipedia.
LENGTH_RATIO = 2.0


def prepare_texts(section: DataSection, seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """See `edgekd.data.prepare`."""
    listing = list_samples(section.reader)
    check_classes(
        [label for sample in listing.samples for label in labels_of(sample)],
        listing.classes,
        section.reader,
        skipped=0,
    )
    tokenizer = Tokenizer(section.tokenizer_file(), section.max_length)
    stream = tokenizer.encode(listing.samples, section.reader)
    encoded = [found for _, found in progress.track(stream, len(listing.samples), "tokenise the texts")]
    texts = Ragged.of([found.ids for found in encoded])
    own = np.array([sample.label or 0 for sample in listing.samples], np.int64)
    tokens = [found.labels for found in encoded if found.labels is not None]
    split = assign(
        [sample.origin for sample in listing.samples],
        own,
        [sample.split for sample in listing.samples],
        ["texts"] if tokens else listing.classes,  # a sentence has no one class to stratify by
        validation=section.validation,
        test=section.test,
        seed=seed,
    )
    labels = np.concatenate(tokens) if tokens else own
    data = Prepared(texts, labels, split, [digest(found.ids) for found in encoded], listing.classes)
    calibration, about = _calibrate(section, seed, data, tokenizer)
    warnings = [*listing.warnings, *data.warnings()]
    preprocess = TextPreprocess(section.max_length, tokenizer.pad_id, section.task)
    truncated = float(np.mean([found.truncated for found in encoded]))
    facts: dict[str, Any] = {
        "kind": "text",
        "task": section.task,
        "reader": section.reader.method_name,
        "classes": listing.classes,
        "counts": data.counts(),
        "sha256": data.sha256(),
        "licence": section.reader.terms(),
        "preprocess": preprocess.to_json(),
        "lengths": {f"p{rank}": int(np.percentile(texts.lengths, rank)) for rank in PERCENTILES},
        "truncated_share": round(truncated, 6),
        "unknown_share": _share(texts.values, tokenizer.unknown_id),
        "warnings": warnings,
        "calibration": about,
    }
    for text in [*warnings, *about["warnings"]]:
        progress.warn(text)
    texts.save(folder, "")
    calibration.save(folder, "calibration_")
    np.save(folder / "labels.npy", labels)
    np.save(folder / "split.npy", split)
    shutil.copyfile(section.tokenizer_file(), folder / TOKENIZER)
    (folder / "data.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return facts


def _calibrate(
    section: DataSection, seed: int, data: Prepared[Ragged], tokenizer: Tokenizer
) -> tuple[Ragged, dict[str, Any]]:
    """Draws the set from the training split, or from the recipe's own calibration reader."""
    reader, wanted = section.calibration.reader, section.calibration.samples
    train = data.indices("train")
    per_text = len(data.labels) == len(data.split)
    if reader is None:
        candidates = [
            Candidate(partial(data.samples.__getitem__, int(i)), int(data.labels[i]) if per_text else None)
            for i in train
        ]
    else:
        candidates = _candidates(reader, tokenizer, data)
    drawn = draw(candidates, wanted, data.digests_of("test"), seed)
    if not drawn.samples:
        raise DataError(
            "no calibration text remains outside the test split",
            where="data.calibration",
            received=f"{len(candidates)} texts, {drawn.overlap_removed} in the test split",
            accepted="texts that are not tested on",
        )
    texts = Ragged.of(drawn.samples)
    coverage = _coverage(drawn, data, None if per_text or reader is not None else train)
    shift = _shift(texts, data, tokenizer.unknown_id)
    shift_warnings = _shift_warnings(shift)
    return texts, {
        "samples": len(texts),
        "coverage": coverage,
        "sha256": hashlib.sha256(texts.offsets.tobytes() + texts.values.tobytes()).hexdigest(),
        "overlap_removed": drawn.overlap_removed,
        "domain_shift": shift,
        "warnings": size_warnings(len(texts), wanted, coverage, "texts") + shift_warnings,
        "source": "train" if reader is None else reader.method_name,
        "licence": (reader or section.reader).terms(),
    }


def _candidates(reader: Reader, tokenizer: Tokenizer, data: Prepared[Ragged]) -> list[Candidate]:
    listing = list_samples(reader, labelled=False)
    index = {name: label for label, name in enumerate(data.classes)}
    known = bool(listing.classes) and set(listing.classes) <= set(data.classes)
    usable = [sample for sample in listing.samples if sample.split != "test"]
    return [
        Candidate(
            partial(np.asarray, encoded.ids),
            index[listing.classes[sample.label]] if known and sample.label is not None else None,
        )
        for sample, encoded in tokenizer.encode(usable, reader)
    ]


def _coverage(drawn: Drawn, data: Prepared[Ragged], train: NDArray[np.int64] | None) -> dict[str, int] | None:
    """Texts of each class; labelled tokens of each class of texts of the training split whose tokens are classified."""
    if train is not None:
        where = {data.digests[index]: index for index in map(int, train)}
        chosen = np.array([where[digest(ids)] for ids in drawn.samples], np.int64)
        labels = data.labels[data.samples.flat(chosen)]
        known = labels[labels >= 0].tolist()
    else:
        known = [label for label in drawn.labels if label is not None]
    if not known:
        return None
    per_class = np.bincount(known, minlength=len(data.classes))
    return {name: int(count) for name, count in zip(data.classes, per_class, strict=True)}


def _shift(texts: Ragged, data: Prepared[Ragged], unknown_id: int | None) -> dict[str, float | None]:
    """How the calibration texts differ from the training texts, in tokens."""
    train = data.indices("train")
    tokens = np.asarray(data.samples.values[data.samples.flat(train)])
    return {
        "unseen_share": round(1 - np.count_nonzero(np.isin(texts.values, tokens)) / len(texts.values), 6),
        "unknown_share": _share(texts.values, unknown_id),
        "train_unknown_share": _share(tokens, unknown_id),
        "median_length": float(np.median(texts.lengths)),
        "train_median_length": float(np.median(data.samples.lengths[train])),
    }


def _share(tokens: NDArray[np.int32], unknown_id: int | None) -> float | None:
    """Share of unknown tokens; None when the tokenizer knows everything."""
    return None if unknown_id is None else round(np.count_nonzero(tokens == unknown_id) / len(tokens), 6)


def _shift_warnings(shift: dict[str, float | None]) -> list[str]:
    unseen = shift["unseen_share"] or 0.0
    ratio = (shift["median_length"] or 1.0) / (shift["train_median_length"] or 1.0)
    if unseen <= UNSEEN_SHARE and 1 / LENGTH_RATIO <= ratio <= LENGTH_RATIO:
        return []
    return [
        "the calibration set looks like another domain than the training data: "
        f"{100 * unseen:.1f} % of its tokens do not occur there (expected within {100 * UNSEEN_SHARE:g} %), and its "
        f"median length is {ratio:.2f} times theirs (expected {1 / LENGTH_RATIO:g} to {LENGTH_RATIO:g})"
    ]
