"""Train, validation and test: stratified by class, decided by the seed and the samples' origins alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import SPLITS, Split
from edgekd.errors import DataError


def assign(
    origins: Sequence[str],
    labels: NDArray[np.int64],
    given: Sequence[Split | None],
    classes: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
) -> NDArray[np.uint8]:
    """The split of every sample, as an index into `SPLITS`; the same whatever the order of the samples.

    Samples that the source puts in a test or validation split stay there. What it lacks is drawn, per class, from the
    rest: first `test` of it, then `validation` of what remains; at least one sample each.

    Args:
        origins: one unique name per sample.
        labels: `(N,)` indices into `classes`.
        given: the source's own split of each sample, or None.
        classes: class names.
        validation: fraction of the training samples.
        test: fraction of all samples.
        seed: decides the draw.

    Raises:
        DataError: classes with too few samples to train on and be scored on.
    """
    split = np.array([SPLITS.index(name) if name else 0 for name in given], dtype=np.uint8)
    draw_test = "test" not in given
    draw_validation = "validation" not in given
    needed = 1 + draw_test + draw_validation
    order = np.array(sorted(range(len(origins)), key=origins.__getitem__), dtype=np.int64)
    short: dict[str, int] = {}
    for label, name in enumerate(classes):
        pool = order[(labels[order] == label) & (split[order] == 0)]
        if len(pool) < needed:
            short[name] = len(pool)
            continue
        # One stream per class: a class that grows or goes does not reshuffle the others.
        pool = np.random.default_rng([seed, label]).permutation(pool)
        if draw_test:
            count = _share(len(pool), test, keep=1 + draw_validation)
            split[pool[:count]] = SPLITS.index("test")
            pool = pool[count:]
        if draw_validation:
            split[pool[: _share(len(pool), validation, keep=1)]] = SPLITS.index("validation")
    if short:
        raise DataError(
            "classes with too few samples to train on",
            received=", ".join(f"{name}: {count}" for name, count in short.items()),
            accepted=f"at least {needed} samples per class outside the source's own test and validation splits",
            hint="add samples, or leave these classes out",
        )
    return split


def _share(total: int, fraction: float, *, keep: int) -> int:
    """`fraction` of `total`, at least 1, leaving at least `keep`."""
    return max(1, min(round(total * fraction), total - keep))


def counts(split: NDArray[np.uint8], labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Number of samples per split and class name."""
    table: dict[str, dict[str, int]] = {}
    for index, name in enumerate(SPLITS):
        per_class = np.bincount(labels[split == index], minlength=len(classes))
        table[name] = {label: int(count) for label, count in zip(classes, per_class, strict=True)}
    return table
