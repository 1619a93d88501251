"""KL divergence against a float64 loop, and its properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekd.distill.loss import LOSSES, Outputs
from edgekd.errors import ModelError

LOGITS = arrays(np.float64, (3, 4), elements=st.floats(-20, 20))
LABELS = torch.zeros(3, dtype=torch.int64)


def softmax(row: np.ndarray) -> list[float]:
    top = [math.exp(value - max(row)) for value in row]
    return [value / sum(top) for value in top]


def reference(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        p, q = softmax(t / temperature), softmax(s / temperature)
        total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)
    return total / len(student) * temperature**2


def kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    loss = LOSSES.parse({"kl": {"temperature": temperature}})
    return float(loss(Outputs(torch.from_numpy(student), LABELS, torch.from_numpy(teacher))))


@settings(max_examples=60, deadline=None)
@given(LOGITS, LOGITS, st.sampled_from([0.5, 1.0, 4.0, 10.0]))
def test_equals_the_formula_and_is_not_negative(student: np.ndarray, teacher: np.ndarray, temperature: float) -> None:
    value = kl(student, teacher, temperature)
    assert value == pytest.approx(reference(student, teacher, temperature), rel=1e-9, abs=1e-12)
    assert value >= -1e-12


@settings(max_examples=30, deadline=None)
@given(LOGITS, st.floats(-5, 5))
def test_is_zero_for_equal_distributions(logits: np.ndarray, shift: float) -> None:
    assert kl(logits, logits + shift, 4.0) == pytest.approx(0, abs=1e-10)


def test_is_not_symmetric_and_starts_from_the_teacher() -> None:
    student, teacher = np.array([[3.0, 0, 0, 0]] * 3), np.zeros((3, 4))
    p, q = [0.25] * 4, softmax(student[0])
    assert kl(student, teacher, 1.0) == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    assert kl(student, teacher, 1.0) != pytest.approx(kl(teacher, student, 1.0))


def test_gradient_is_the_docstrings_and_flows_to_the_student_only() -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64, generator=generator)
    loss = LOSSES.parse({"kl": {"temperature": 3.0}})
    assert torch.autograd.gradcheck(lambda z: loss(Outputs(z, LABELS, teacher)), student)
    loss(Outputs(student, LABELS, teacher)).backward()
    expected = 3.0 * (torch.softmax(student / 3, 1) - torch.softmax(teacher / 3, 1)) / 3  # mean over 3 samples
    torch.testing.assert_close(student.grad, expected.detach())


def test_refuses_a_missing_or_differently_sized_teacher() -> None:
    loss = LOSSES.parse("kl")
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        loss(Outputs(torch.zeros(3, 4), LABELS))
    with pytest.raises(ModelError, match="same number of classes"):
        loss(Outputs(torch.zeros(3, 4), LABELS, torch.zeros(3, 5)))
