"""The calibration set: samples of the user's domain that set the quantization ranges, never seen in the test split.

What images and texts share; their statistics are in `image_calibration.py` and `text_calibration.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.corrupt import Corrupt, refuse
from edgekd.data.drawing import Candidate, Drawn, draw
from edgekd.data.listing import list_samples
from edgekd.data.prepared import Prepared
from edgekd.data.reader import Reader, Sample
from edgekd.data.section import DataSection
from edgekd.errors import DataError

# The vendors' advice starts here (LiteRT: "around 100 to 500 samples"; NNCF takes 300, TensorRT advises 500).
FEW_SAMPLES = 100

Load = Callable[[], NDArray[Any] | None]


def draw_set(
    section: DataSection,
    seed: int,
    data: Prepared[Any],
    read: Callable[[Reader, Sequence[Sample]], Iterable[Load]],
    corrupt: Sequence[Corrupt] = (),
) -> Drawn:
    """Draws the set from the training split, or from the recipe's own calibration reader.

    Args:
        section: the recipe's `data:` block.
        seed: decides the draw.
        data: the prepared samples.
        read: what loads each of the samples of the recipe's own reader.
        corrupt: where `read` notes, while they are drawn, samples that cannot be decoded.

    Raises:
        DataError: the reader fails, has corrupt images (`on_corrupt: refuse`), or nothing is left to use.
    """
    reader, kind = section.calibration.reader, section.reader.kind
    if reader is None:
        per_sample = len(data.labels) == len(data.split)
        candidates = [
            Candidate(partial(_row, data.samples, index), int(data.labels[index]) if per_sample else None)
            for index in map(int, data.indices("train"))
        ]
    else:
        listing = list_samples(reader, labelled=False)
        index = {name: label for label, name in enumerate(data.classes)}
        known = bool(listing.classes) and set(listing.classes) <= set(data.classes)
        usable = [sample for sample in listing.samples if sample.split != "test"]
        candidates = [
            Candidate(load, index[listing.classes[sample.label]] if known and sample.label is not None else None)
            for sample, load in zip(usable, read(reader, usable), strict=True)
        ]
    drawn = draw(candidates, section.calibration.samples, data.digests_of("test"), seed)
    if reader is not None and section.on_corrupt == "refuse":
        refuse(reader, corrupt)
    if not drawn.samples:
        lost = f"{drawn.overlap_removed} in the test split" + (f", {len(corrupt)} corrupt" if corrupt else "")
        raise DataError(
            f"no calibration {kind} remains outside the test split",
            where="data.calibration",
            received=f"{len(candidates)} {kind}s, {lost}",
            accepted=f"{kind}s that are not tested on",
        )
    return drawn


def _row(samples: Any, index: int) -> NDArray[Any]:
    return np.array(samples[index])


def coverage(labels: Iterable[int | None], classes: Sequence[str]) -> dict[str, int] | None:
    """How many of each class there are; None where no label is known."""
    known = [label for label in labels if label is not None]
    if not known:
        return None
    counts = np.bincount(known, minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, counts, strict=True)}


def facts_of(
    section: DataSection, drawn: Drawn, covered: dict[str, int] | None, sha256: str, shift: Any, warnings: Sequence[str]
) -> dict[str, Any]:
    """The facts of a set: size, coverage, hash, distance to the training data (`shift`), and what to warn about."""
    reader, own = section.calibration.reader, section.reader
    size = size_warnings(len(drawn.samples), section.calibration.samples, covered, f"{own.kind}s")
    return {
        "samples": len(drawn.samples),
        "coverage": covered,
        "sha256": sha256,
        "overlap_removed": drawn.overlap_removed,
        "domain_shift": shift,
        "warnings": [*size, *warnings],
        "source": "train" if reader is None else reader.method_name,
        "licence": (reader or own).terms(),
    }


def size_warnings(samples: int, wanted: int, coverage: dict[str, int] | None, what: str) -> list[str]:
    """A set smaller than asked for or than is wise, and classes that it lacks; `what`: images or texts."""
    warnings: list[str] = []
    if samples < wanted:
        warnings.append(f"the calibration set has {samples} {what}, {wanted} were asked for: there are no more")
    if samples < FEW_SAMPLES:
        warnings.append(f"the calibration set has {samples} {what}; below {FEW_SAMPLES} the ranges are unreliable")
    if coverage is None:
        return [*warnings, "the calibration set is unlabelled or of other classes: its class coverage is unknown"]
    missing = [name for name, count in coverage.items() if count == 0]
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        reached = f"{len(coverage) - len(missing)} of {len(coverage)} classes"
        warnings.append(f"the calibration set covers {reached}; without: {shown}")
    return warnings
