"""Metrics against counting by hand and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.benchmark.metrics import (
    accuracy,
    agreement,
    calibration_error,
    macro_f1,
    mean_cosine,
    quality,
    worst_classes,
)
from edgekd.errors import BenchmarkError

LOGITS = np.array([[3, 1, 0], [0, 2, 1], [0, 1, 5], [9, 9, 0]], np.float32)


def test_by_hand() -> None:
    labels = np.array([0, 1, 1, 0])
    assert accuracy(LOGITS, labels) == 0.75
    assert agreement(LOGITS, LOGITS[:, [0, 2, 1]]) == 0.5
    assert agreement(LOGITS, 7 * LOGITS + 3) == 1.0


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 2**31))
def test_accuracy_is_the_share_of_the_right_ones(samples: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((samples, classes)), rng.integers(0, classes, samples)
    slow = sum(max(range(classes), key=lambda k: row[k]) == label for row, label in zip(logits, labels, strict=True))
    assert accuracy(logits, labels) == pytest.approx(slow / samples)


def test_a_network_that_always_answers_one_class() -> None:
    labels = np.array([0] * 39 + [1])
    found = quality(np.tile([2.0, 1.0, 0.0], (40, 1)), labels, ["common", "rare", "absent"])
    assert found["balanced_accuracy"] == 0.5 and found["classes_met"] == 2 and found["never_found"] == ["rare"]


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


DRAWN = (st.integers(1, 60), st.integers(2, 6), st.integers(0, 2**31))


@given(*DRAWN)
def test_macro_f1_equals_counting_class_by_class(samples: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((samples, classes)), rng.integers(0, classes, samples)
    chosen, scores = logits.argmax(1), []
    for k in range(classes):
        hits = sum(c == k == y for c, y in zip(chosen, labels, strict=True))
        predicted, own = sum(c == k for c in chosen), sum(y == k for y in labels)
        if predicted or own:
            precision, recall = hits / max(predicted, 1), hits / max(own, 1)
            scores.append(0.0 if hits == 0 else 2 * precision * recall / (precision + recall))
    assert macro_f1(logits, labels, classes) == pytest.approx(sum(scores) / len(scores))


@given(*DRAWN)
def test_calibration_error_equals_the_definition_bin_by_bin(samples: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = 5 * rng.standard_normal((samples, classes)), rng.integers(0, classes, samples)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(logits, labels) == pytest.approx(total, abs=1e-9)


def test_calibration_by_hand() -> None:
    half = np.log(np.array([[0.9, 0.1]] * 10))
    assert calibration_error(half, np.array([0] * 9 + [1])) == pytest.approx(0, abs=1e-12)  # 90 % sure, 90 % right
    assert calibration_error(half, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)
    assert calibration_error(1000 * half, np.ones(10, np.int64)) == pytest.approx(1)  # sure and always wrong
    assert calibration_error(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == pytest.approx(0)


def test_worst_classes_first_with_what_they_are_taken_for() -> None:
    chosen = np.array([0, 0, 1, 1, 1, 2, 2, 0, 0])
    labels = np.array([0, 0, 1, 2, 2, 2, 2, 3, 3])
    rows = worst_classes(np.eye(5)[chosen], labels, ["a", "b", "c", "d", "none"], count=3)
    assert rows == [
        {"name": "d", "recall": 0.0, "samples": 2, "mistaken_for": "a"},
        {"name": "c", "recall": 0.5, "samples": 4, "mistaken_for": "b"},
        {"name": "a", "recall": 1.0, "samples": 2, "mistaken_for": None},
    ]


def test_quality_and_cosine() -> None:
    labels = np.array([0, 1, 1, 0])
    found = quality(LOGITS, labels, ["a", "b", "c"])
    named = {"macro_f1", "balanced_accuracy", "classes_met", "never_found", "calibration_error", "worst_classes"}
    assert set(found) == named
    assert quality(LOGITS, labels, ["a", "b", "c"], probabilities=False)["calibration_error"] is None
    assert mean_cosine(np.eye(3), 2 * np.eye(3)) == pytest.approx(1)
    assert mean_cosine(np.array([[1.0, 0], [0, 1]]), np.array([[0.0, 1], [0, -1]])) == pytest.approx(-0.5)
    with pytest.raises(BenchmarkError, match="do not belong together"):
        macro_f1(LOGITS, np.array([0, 1]), 3)
