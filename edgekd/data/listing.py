"""A reader's samples, checked and in an order that does not depend on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from edgekd.data.reader import Listing, Reader, Sample
from edgekd.errors import DataError

SHOWN = 10


def list_samples(reader: Reader, *, labelled: bool = True) -> Listing:
    """What the reader holds, sorted by origin.

    Args:
        reader: the data source.
        labelled: every sample must have a label, of at least two classes.

    Raises:
        DataError: no samples, no labels, labels outside the classes, an origin twice, or what the reader raises.
    """
    listing = reader.open()
    if not listing.samples:
        raise DataError("the source has no samples", where=reader.method_name)
    samples = sorted(listing.samples, key=lambda sample: sample.origin)
    twice = [one.origin for one, other in pairwise(samples) if one.origin == other.origin]
    if twice:
        raise DataError("the source lists samples twice", where=reader.place(twice[0]), received=f"{len(twice)} times")
    if labelled:
        _check_labels(reader, listing.classes, samples)
    return Listing(listing.classes, samples, listing.warnings)


def _check_labels(reader: Reader, classes: Sequence[str], samples: Sequence[Sample]) -> None:
    bare = [sample.origin for sample in samples if sample.label is None and sample.tags is None]
    if bare:
        raise DataError(
            f"{len(bare)} {reader.kind}s have no class",
            where=reader.place(bare[0]),
            accepted=f"labelled {reader.kind}s; unlabelled ones serve as calibration.reader only",
        )
    if len(classes) < 2:
        raise DataError(
            "a classifier needs at least two classes", where=reader.method_name, received=", ".join(classes) or "none"
        )
    count = len(classes)
    wrong = [sample for sample in samples if any(not 0 <= label < count for label in labels_of(sample))]
    if wrong:
        shown = ", ".join(
            f"{'/'.join(map(str, labels_of(sample)))} at {reader.place(sample.origin)}" for sample in wrong[:SHOWN]
        )
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(
            f"{len(wrong)} labels are outside the classes",
            where=reader.method_name,
            received=shown + more,
            accepted=f"0 to {count - 1} ({count} classes)",
        )


def labels_of(sample: Sample) -> tuple[int, ...]:
    """The labels of a sample's words, or its own."""
    own = () if sample.label is None else (sample.label,)
    return own if sample.tags is None else sample.tags
