"""Decoupled knowledge distillation against a float64 loop over probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekd.distill.loss import IGNORED, LOSSES, Outputs


def softmax(row: np.ndarray) -> list[float]:
    top = [math.exp(value - max(row)) for value in row]
    return [value / sum(top) for value in top]


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)


def parts(s: np.ndarray, t: np.ndarray, label: int, temperature: float) -> tuple[float, float, float]:
    """TCKD, NCKD and the teacher's p_y of one sample."""
    p, q = softmax(t / temperature), softmax(s / temperature)
    tckd = kl([p[label], 1 - p[label]], [q[label], 1 - q[label]])
    p_others = [p[k] / (1 - p[label]) for k in range(len(p)) if k != label]
    q_others = [q[k] / (1 - q[label]) for k in range(len(q)) if k != label]
    return tckd, kl(p_others, q_others), p[label]


def value(form: dict[str, float], student: np.ndarray, teacher: np.ndarray, labels: np.ndarray) -> float:
    arrays = (torch.from_numpy(array) for array in (student, labels, teacher))
    return float(LOSSES.parse({"dkd": form})(Outputs(*arrays)))


@pytest.mark.parametrize(("alpha", "beta", "temperature"), [(1, 8, 4), (0, 1, 1), (1, 0, 2), (0.5, 2, 0.7)])
def test_equals_the_formula(alpha: float, beta: float, temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher, labels = rng.normal(0, 3, (7, 5)), rng.normal(0, 3, (7, 5)), rng.integers(0, 5, 7)
    labels[2] = IGNORED
    kept = [i for i in range(7) if i != 2]
    total = 0.0
    for i in kept:
        tckd, nckd, _ = parts(student[i], teacher[i], labels[i], temperature)
        total += alpha * tckd + beta * nckd
    form = {"alpha": alpha, "beta": beta, "temperature": temperature}
    assert value(form, student, teacher, labels) == pytest.approx(total / len(kept) * temperature**2, rel=1e-10)


def test_adds_up_to_kl_where_beta_is_the_teachers_doubt() -> None:
    """Equation 6 of the paper, one sample at a time, as beta is one number for all."""
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(0, 2, (1, 6)), rng.normal(0, 2, (1, 6))
    _, _, sure = parts(student[0], teacher[0], 3, 2.0)
    plain = LOSSES.parse({"kl": {"temperature": 2}})
    label = np.array([3])
    expected = plain(Outputs(*(torch.from_numpy(array) for array in (student, label, teacher))))
    form = {"alpha": 1, "beta": 1 - sure, "temperature": 2}
    assert value(form, student, teacher, label) == pytest.approx(float(expected), rel=1e-10)


def test_a_teacher_that_is_certain_stays_finite() -> None:
    teacher, student = torch.full((2, 4), -300.0), torch.zeros(2, 4, requires_grad=True)
    teacher[:, 1] = 300
    loss = LOSSES.parse({"dkd": {"temperature": 0.5}})(Outputs(student, torch.tensor([1, 2]), teacher))
    loss.backward()
    assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()


def test_two_classes_have_no_other_classes_to_compare() -> None:
    rng = np.random.default_rng(2)
    student, teacher, labels = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), np.array([0, 1, 1])
    assert value({"alpha": 0}, student, teacher, labels) == 0
    plain = float(LOSSES.parse("kl")(Outputs(*(torch.from_numpy(array) for array in (student, labels, teacher)))))
    assert value({}, student, teacher, labels) == pytest.approx(plain, rel=1e-10)
