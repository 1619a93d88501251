"""Logit standardization against a float64 loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Outputs

LABELS = torch.zeros(4, dtype=torch.int64)


def standardized_softmax(row: np.ndarray, temperature: float) -> list[float]:
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / len(row))
    top = [math.exp((value - mean) / deviation / temperature) for value in row]
    return [value / sum(top) for value in top]


@pytest.mark.parametrize("temperature", [0.5, 2.0, 5.0])
def test_equals_the_formula(temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(1, 4, (4, 6)), rng.normal(-2, 9, (4, 6))
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        p, q = standardized_softmax(t, temperature), standardized_softmax(s, temperature)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    loss = LOSSES.parse({"logit_standardization": {"temperature": temperature}})
    value = loss(Outputs(torch.from_numpy(student), LABELS, torch.from_numpy(teacher)))
    assert float(value) == pytest.approx(total / 4 * temperature**2, rel=1e-9)


def test_ignores_each_samples_range_and_offset() -> None:
    teacher = torch.randn(4, 6, dtype=torch.float64)
    scale, shift = torch.rand(4, 1, dtype=torch.float64) * 5 + 0.1, torch.randn(4, 1, dtype=torch.float64)
    loss = LOSSES.parse("logit_standardization")
    assert float(loss(Outputs(scale * teacher + shift, LABELS, teacher))) == pytest.approx(0, abs=1e-9)
    assert float(loss(Outputs(-teacher, LABELS, teacher))) > 1


def test_constant_logits_are_a_uniform_distribution() -> None:
    student = torch.full((4, 6), 3.0, requires_grad=True)
    loss = LOSSES.parse("logit_standardization")(Outputs(student, LABELS, torch.zeros(4, 6)))
    loss.backward()
    assert float(loss.detach()) == 0 and student.grad is not None and student.grad.isfinite().all()
