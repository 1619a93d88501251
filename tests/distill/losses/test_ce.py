"""Cross-entropy against a float64 loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from edgekd.distill.loss import IGNORED, LOSSES, Outputs


def reference(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        log_q = [value - log_sum for value in row]
        total += -(1 - smoothing) * log_q[label] - smoothing / len(row) * sum(log_q)
    return total / len(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_equals_the_formula(smoothing: float) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (7, 5)), rng.integers(0, 5, 7)
    loss = LOSSES.parse({"ce": {"label_smoothing": smoothing}})
    value = loss(Outputs(torch.from_numpy(logits), torch.from_numpy(labels)))
    assert float(value) == pytest.approx(reference(logits, labels, smoothing), rel=1e-12)


def test_gradient() -> None:
    labels = torch.tensor([0, 3, 1])
    loss = LOSSES.parse({"ce": {"label_smoothing": 0.2}})
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: loss(Outputs(z, labels)), logits)


def test_needs_no_teacher_and_a_sane_smoothing() -> None:
    assert not LOSSES.load("ce").needs_teacher
    with pytest.raises(ValidationError):
        LOSSES.load("ce").model_validate({"label_smoothing": 1.0})
    with pytest.raises(ValidationError):
        LOSSES.load("ce").model_validate({"weight": -1})


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_counts_only_samples_that_have_a_label(smoothing: float) -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 3, (5, 4)), np.array([0, IGNORED, 3, IGNORED, 1])
    loss = LOSSES.parse({"ce": {"label_smoothing": smoothing}})
    value = loss(Outputs(torch.from_numpy(logits), torch.from_numpy(labels)))
    kept = labels != IGNORED
    assert float(value) == pytest.approx(reference(logits[kept], labels[kept], smoothing), rel=1e-12)


def test_is_zero_without_any_label() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    value = LOSSES.parse("ce")(Outputs(logits, torch.full((3,), IGNORED)))
    value.backward()
    assert float(value.detach()) == 0 and logits.grad is not None and not logits.grad.any()
