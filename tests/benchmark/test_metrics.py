"""Metrics against counting by hand and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.benchmark.metrics import accuracy, agreement, class_accuracy
from edgekd.errors import BenchmarkError

LOGITS = np.array([[3, 1, 0], [0, 2, 1], [0, 1, 5], [9, 9, 0]], np.float32)


def test_by_hand() -> None:
    labels = np.array([0, 1, 1, 0])
    assert accuracy(LOGITS, labels) == 0.75
    assert class_accuracy(LOGITS, labels, 3) == [1.0, 0.5, None]
    assert agreement(LOGITS, LOGITS[:, [0, 2, 1]]) == 0.5
    assert agreement(LOGITS, 7 * LOGITS + 3) == 1.0


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**31))
def test_accuracy_is_the_weighted_mean_of_the_classes_own(samples: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((samples, classes)), rng.integers(0, classes, samples)
    counts = np.bincount(labels, minlength=classes)
    own = class_accuracy(logits, labels, classes)
    assert all((value is None) == (count == 0) for value, count in zip(own, counts, strict=True))
    weighted = sum((value or 0) * count for value, count in zip(own, counts, strict=True)) / samples
    assert accuracy(logits, labels) == pytest.approx(weighted)
    slow = sum(max(range(classes), key=lambda k: row[k]) == label for row, label in zip(logits, labels, strict=True))
    assert accuracy(logits, labels) == pytest.approx(slow / samples)


def test_refusals() -> None:
    with pytest.raises(BenchmarkError, match="do not belong together"):
        accuracy(LOGITS, np.array([0, 1]))
    with pytest.raises(BenchmarkError, match="do not belong together"):
        accuracy(np.zeros((0, 3)), np.zeros(0, np.int64))
    with pytest.raises(BenchmarkError, match="do not belong together"):
        agreement(LOGITS, LOGITS[:2])
    broken = LOGITS.copy()
    broken[1, 1] = np.nan
    with pytest.raises(BenchmarkError, match=r"no numbers[\s\S]*1 of 4 samples"):
        accuracy(broken, np.zeros(4, np.int64))
