"""From a reader to token ids on disk: tokenise once, split in three, draw the calibration set."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.data.listing import labels_of, list_samples
from edgekd.data.preparation import check_classes, finish, split_of
from edgekd.data.prepared import Prepared, digest
from edgekd.data.ragged import Ragged
from edgekd.data.section import DataSection
from edgekd.data.text_calibration import calibration_texts, unknown_share
from edgekd.data.texts import TOKENIZER, TextPreprocess
from edgekd.data.tokenize import Tokenizer
from edgekd.progress import Progress

PERCENTILES = (50, 90, 99, 100)


def prepare_texts(section: DataSection, seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """See `edgekd.data.prepare`."""
    listing = list_samples(section.reader)
    every = [label for sample in listing.samples for label in labels_of(sample)]
    check_classes(every, listing.classes, section.reader, skipped=0)
    tokenizer = Tokenizer(section.tokenizer_file(), section.max_length)
    stream = tokenizer.encode(listing.samples, section.reader)
    encoded = [found for _, found in progress.track(stream, len(listing.samples), "tokenise the texts")]
    texts = Ragged.of([found.ids for found in encoded])
    own = np.array([sample.label or 0 for sample in listing.samples], np.int64)
    tokens = [found.labels for found in encoded if found.labels is not None]
    # A sentence has no one class to stratify by.
    split = split_of(section, seed, listing.samples, own, ["texts"] if tokens else listing.classes)
    labels = np.concatenate(tokens) if tokens else own
    data = Prepared(texts, labels, split, [digest(found.ids) for found in encoded], listing.classes)
    calibration, about = calibration_texts(section, seed, data, tokenizer)
    texts.save(folder, "")
    calibration.save(folder, "calibration_")
    shutil.copyfile(section.tokenizer_file(), folder / TOKENIZER)
    preprocess = TextPreprocess(section.max_length, tokenizer.pad_id, section.task)
    facts = {
        "task": section.task,
        "lengths": {f"p{rank}": int(np.percentile(texts.lengths, rank)) for rank in PERCENTILES},
        "truncated_share": round(float(np.mean([found.truncated for found in encoded])), 6),
        "unknown_share": unknown_share(texts.values, tokenizer.unknown_id),
        "warnings": [*listing.warnings, *data.warnings()],
    }
    return finish(section, data, preprocess, facts, about, folder, progress)
