"""Soft cross-entropy against a float64 loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Outputs

LABELS = torch.zeros(6, dtype=torch.int64)


def softmax(row: np.ndarray) -> list[float]:
    top = [math.exp(value - max(row)) for value in row]
    return [value / sum(top) for value in top]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_the_formula(temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(0, 3, (6, 5)), rng.normal(0, 3, (6, 5))
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        total -= sum(p * math.log(q) for p, q in zip(softmax(t / temperature), softmax(s / temperature), strict=True))
    loss = LOSSES.parse({"soft_ce": {"temperature": temperature}})
    value = loss(Outputs(torch.from_numpy(student), LABELS, torch.from_numpy(teacher)))
    assert float(value) == pytest.approx(total / 6 * temperature**2, rel=1e-12)


def test_is_kl_plus_the_teachers_entropy_with_the_same_gradient() -> None:
    student = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(6, 5, dtype=torch.float64)
    p = (teacher / 3).softmax(1)
    soft, kl = (
        LOSSES.parse({name: {"temperature": 3}})(Outputs(student, LABELS, teacher)) for name in ("soft_ce", "kl")
    )
    torch.testing.assert_close(soft, kl - 9 * (p * p.log()).sum(1).mean())
    torch.testing.assert_close(*(torch.autograd.grad(value, student)[0] for value in (soft, kl)))
