from __future__ import annotations

import numpy as np
import pytest

from edgekd.errors import ExportError
from edgekd.export.parity import compare


def test_golden() -> None:
    reference = np.array([[1.0, 2.0], [-4.0, 0.0]], np.float32)
    logits = np.array([[1.5, 2.0], [0.0, -1.0]], np.float32)
    assert compare(reference, logits) == {
        "max_abs_error": 4.0,
        "mean_abs_error": 1.375,
        "relative_max_error": 1.0,
        "top1_agreement": 0.5,
        "samples": 2,
    }


def test_identical() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert compare(logits, logits) == {
        "max_abs_error": 0.0,
        "mean_abs_error": 0.0,
        "relative_max_error": 0.0,
        "top1_agreement": 1.0,
        "samples": 5,
    }


def test_not_a_number_is_infinitely_wrong() -> None:
    reference = np.zeros((1, 2), np.float32)
    broken = np.array([[np.nan, 1]], np.float32)
    assert compare(reference, broken)["max_abs_error"] == float("inf")
    assert compare(reference, reference + 1)["relative_max_error"] == float("inf")


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (4,), (0, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExportError, match="cannot be compared"):
        compare(np.zeros((2, 2) if shape != (0, 2) else shape, np.float32), np.zeros(shape, np.float32))


def test_embeddings_are_compared_by_direction() -> None:
    reference = np.array([[3.0, 0.0], [0.0, 2.0]], np.float32)
    found = compare(reference, np.array([[1.0, 0.0], [2.0, 2.0]], np.float32), embeddings=True)
    assert found["top1_agreement"] is None
    assert found["cosine_mean"] == pytest.approx((1 + 0.5**0.5) / 2)
    assert found["cosine_min"] == pytest.approx(0.5**0.5)


def test_an_embedding_without_direction_has_no_cosine() -> None:
    found = compare(np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32), embeddings=True)
    assert found["cosine_mean"] is None
    assert found["max_abs_error"] == 1.0
