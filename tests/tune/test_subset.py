"""What a trial sees of the data."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.tune.subset import NOWHERE, reduced_split


@pytest.fixture
def labels() -> np.ndarray:
    return np.repeat(np.arange(4), [100, 50, 10, 2])


@pytest.fixture
def split(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(labels)) % 10 < 2, np.arange(len(labels)) % 10 + 1, 0).astype(np.uint8)


def test_stratified(split: np.ndarray, labels: np.ndarray) -> None:
    kept = reduced_split(split, labels, 0.25, 3)
    assert (split[kept == 0] == 0).all()
    for label in range(4):
        total = int(((split == 0) & (labels == label)).sum())
        expected = max(1, round(0.25 * total)) if total else 0
        assert int(((kept == 0) & (labels == label)).sum()) == expected


def test_validation_stays_and_the_test_split_is_gone(split: np.ndarray, labels: np.ndarray) -> None:
    kept = reduced_split(split, labels, 0.5, 0)
    assert ((kept == 1) == (split == 1)).all()
    assert (kept[split == 2] == NOWHERE).all() and not (kept == 2).any()


def test_decided_by_the_seed(split: np.ndarray, labels: np.ndarray) -> None:
    first = reduced_split(split, labels, 0.5, 1)
    assert (reduced_split(split, labels, 0.5, 1) == first).all()
    assert (reduced_split(split, labels, 0.5, 2) != first).any()
    assert (reduced_split(split, labels, 1.0, 1)[split == 0] == 0).all()


def test_labels_of_tokens(split: np.ndarray, labels: np.ndarray) -> None:
    tokens = np.stack([labels, labels], axis=1)
    assert int((reduced_split(split, tokens, 0.5, 1) == 0).sum()) == round(0.5 * int((split == 0).sum()))
