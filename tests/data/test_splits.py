from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.data.dataset import SPLITS, Split
from edgekd.data.splits import assign, counts
from edgekd.errors import DataError

CLASSES = ["a", "b", "c"]


def split_of(
    sizes: list[int], seed: int = 0, order: np.ndarray | None = None, given: Split | None = None, **fractions: float
):
    """Assigned split by origin, for `sizes` samples per class presented in `order`."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    origins = [f"{label}/{index:04d}" for index, label in enumerate(labels)]
    order = np.arange(len(labels)) if order is None else order
    shares = {"validation": 0.1, "test": 0.2, **fractions}
    split = assign(
        [origins[i] for i in order], labels[order], [given] * len(order), CLASSES[: len(sizes)], seed=seed, **shares
    )
    return {origins[i]: int(value) for i, value in zip(order, split, strict=True)}


def test_shares_per_class() -> None:
    found = split_of([100, 50, 10])
    table = counts(
        np.array(list(found.values()), np.uint8), np.array([int(name[0]) for name in found], np.int64), CLASSES
    )
    assert table == {
        "train": {"a": 72, "b": 36, "c": 7},
        "validation": {"a": 8, "b": 4, "c": 1},
        "test": {"a": 20, "b": 10, "c": 2},
    }


@given(st.lists(st.integers(3, 40), min_size=2, max_size=3), st.integers(0, 2**32), st.randoms())
def test_the_order_on_disk_does_not_matter(sizes: list[int], seed: int, random: object) -> None:
    order = list(range(sum(sizes)))
    random.shuffle(order)  # pyright: ignore
    assert split_of(sizes, seed) == split_of(sizes, seed, np.array(order))


@given(st.integers(3, 60), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_every_class_is_in_every_split(size: int, validation: float, test: float) -> None:
    found = split_of([size, 3], validation=validation, test=test)
    for label in "01":
        assert {value for name, value in found.items() if name[0] == label} == {0, 1, 2}


def test_seeds_draw_differently_and_classes_independently() -> None:
    assert split_of([50, 50], seed=1) != split_of([50, 50], seed=2)
    alone, beside = split_of([50, 50], seed=1), split_of([50, 50, 30], seed=1)
    assert all(beside[name] == value for name, value in alone.items())


def test_a_sources_own_splits_are_kept() -> None:
    given: list[Split | None] = ["train"] * 20 + ["test"] * 7
    labels = np.array([0] * 10 + [1] * 10 + [0] * 3 + [1] * 4)
    origins = [f"{index:02d}" for index in range(27)]
    split = assign(origins, labels, given, ["a", "b"], validation=0.2, test=0.9, seed=0)
    assert (split[20:] == SPLITS.index("test")).all()
    assert np.bincount(split[:20], minlength=3).tolist() == [16, 4, 0]

    given[:5] = ["validation"] * 5
    split = assign(origins, labels, given, ["a", "b"], validation=0.2, test=0.9, seed=0)
    assert np.flatnonzero(split == SPLITS.index("validation")).tolist() == [0, 1, 2, 3, 4]


def test_too_few_samples_are_named() -> None:
    with pytest.raises(DataError, match="b: 2, c: 0") as caught:
        labels = np.array([0] * 9 + [1] * 2)
        assign([str(i) for i in range(11)], labels, [None] * 11, CLASSES, validation=0.1, test=0.1, seed=0)
    assert "at least 3" in str(caught.value)
