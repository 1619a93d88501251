from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.data.drawing import Candidate, draw, quotas
from edgekd.data.prepared import digest


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(1, 800))
def test_quotas_are_proportional_and_cover_every_class(sizes: list[int], samples: int) -> None:
    shares = quotas(sizes, samples, np.random.default_rng(0))
    total = min(samples, sum(sizes))
    assert shares.sum() == total
    assert (shares >= 0).all() and (shares <= sizes).all()
    if samples >= len(sizes):
        assert (shares >= 1).all()
        exact = total * np.array(sizes) / sum(sizes)
        if (exact >= 1).all():
            assert (np.abs(shares - exact) < 1).all()
    else:
        assert shares.max() == 1


def test_quotas_by_hand() -> None:
    random = np.random.default_rng(0)
    assert quotas([50, 30, 20], 10, random).tolist() == [5, 3, 2]
    assert quotas([100, 1, 1], 10, random).tolist() == [8, 1, 1]
    assert quotas([2, 2], 10, random).tolist() == [2, 2]


def candidates(labels: list[int | None], corrupt: set[int] = frozenset()) -> list[Candidate]:  # pyright: ignore
    def load(index: int) -> np.ndarray | None:
        return None if index in corrupt else np.full((1, 1, 1), index, np.uint8)

    return [Candidate(partial(load, index), label) for index, label in enumerate(labels)]


def values(images: list[np.ndarray]) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


@pytest.mark.parametrize("seed", range(5))
def test_the_test_split_never_gets_in(seed: int) -> None:
    forbidden = {digest(np.full((1, 1, 1), index, np.uint8)) for index in range(0, 40, 2)}
    drawn = draw(candidates([index % 4 for index in range(40)]), 12, forbidden, seed)
    assert all(value % 2 for value in values(drawn.samples))
    assert [value % 4 for value in values(drawn.samples)] == drawn.labels
    # Classes 0 and 2 hold forbidden images alone, so all 20 of them were met and left out.
    assert sorted(set(drawn.labels)) == [1, 3] and drawn.overlap_removed == 20  # pyright: ignore


def test_corrupt_candidates_are_replaced() -> None:
    drawn = draw(candidates([0] * 10, corrupt={0, 1, 2, 3, 4}), 5, set(), 0)
    assert sorted(values(drawn.samples)) == [5, 6, 7, 8, 9]


def test_the_seed_decides_and_classes_are_mixed() -> None:
    labels: list[int | None] = [index // 50 for index in range(200)]
    one, again, other = (draw(candidates(labels), 40, set(), seed) for seed in (1, 1, 2))
    assert values(one.samples) == values(again.samples) != values(other.samples)
    assert np.bincount(np.array(one.labels, int)).tolist() == [10, 10, 10, 10]
    assert one.labels != sorted(one.labels)  # pyright: ignore
    assert len(set(values(one.samples))) == 40
