"""Exemplars: training samples only, evenly over the classes, decided by the seed."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.data.arrays import ImageData, Preprocess
from edgekd.errors import DataError
from edgekd.steps.replay import exemplars


def data() -> ImageData:
    """40 training samples of class a, 8 of b, 3 of c, and as many test samples."""
    labels = np.repeat([0, 1, 2, 0, 1, 2], [40, 8, 3, 40, 8, 3])
    split = np.repeat(np.array([0, 2], np.uint8), 51)
    images = np.zeros((102, 2, 2, 1), np.uint8)
    return ImageData(
        images=images,
        labels=labels,
        split=split,
        classes=("a", "b", "c"),
        preprocess=Preprocess((0.0,), (1.0,), (2, 2), 1),
        calibration=images[:1],
        facts={},
    )


@pytest.mark.parametrize(
    ("count", "per_class"), [(0, [0, 0, 0]), (3, [1, 1, 1]), (9, [3, 3, 3]), (15, [6, 6, 3]), (51, [40, 8, 3])]
)
def test_even_over_the_classes_as_far_as_they_go(count: int, per_class: list[int]) -> None:
    rows = exemplars(data(), count, seed=1)
    assert np.bincount(data().labels[rows], minlength=3).tolist() == per_class
    assert (rows < 51).all() and len(set(rows.tolist())) == count and (np.diff(rows) > 0).all()


def test_the_seed_decides() -> None:
    assert np.array_equal(exemplars(data(), 9, seed=1), exemplars(data(), 9, seed=1))
    assert not np.array_equal(exemplars(data(), 9, seed=1), exemplars(data(), 9, seed=2))


def test_refuses_more_than_there_are() -> None:
    with pytest.raises(DataError, match="at most 51"):
        exemplars(data(), 52, seed=1)
