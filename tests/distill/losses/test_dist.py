"""DIST against a float64 loop and numpy's correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Outputs

LABELS = torch.zeros(5, dtype=torch.int64)


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    top = [[math.exp(value / temperature) for value in row] for row in logits]
    return np.array([[value / sum(row) for value in row] for row in top])


def pearson(u: np.ndarray, v: np.ndarray) -> float:
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    covariance = sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True))
    return covariance / math.sqrt(sum((a - mean_u) ** 2 for a in u) * sum((b - mean_v) ** 2 for b in v))


@pytest.mark.parametrize(("beta", "gamma", "temperature"), [(2, 2, 4), (1, 0, 1), (0, 3, 2)])
def test_equals_the_formula(beta: float, gamma: float, temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(0, 3, (5, 4)), rng.normal(0, 3, (5, 4))
    q, p = softmax(student, temperature), softmax(teacher, temperature)
    inter = 1 - sum(pearson(q[b], p[b]) for b in range(5)) / 5
    intra = 1 - sum(pearson(q[:, k], p[:, k]) for k in range(4)) / 4
    loss = LOSSES.parse({"dist": {"beta": beta, "gamma": gamma, "temperature": temperature}})
    value = loss(Outputs(torch.from_numpy(student), LABELS, torch.from_numpy(teacher)))
    assert float(value) == pytest.approx(beta * inter + gamma * intra, rel=1e-8)
    assert pearson(q[0], p[0]) == pytest.approx(np.corrcoef(q[0], p[0])[0, 1])


def test_asks_for_the_relations_not_for_the_values() -> None:
    """A student in the teacher's order with a third of its range: wrong to `kl`, all but right to `dist`."""
    teacher = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 4
    close, far = (Outputs(student, LABELS, teacher) for student in (teacher / 3, teacher.flip(1)))
    shares = [float(loss(close) / loss(far)) for loss in (LOSSES.parse("dist"), LOSSES.parse("kl"))]
    assert shares[0] < 0.02 < 0.1 < shares[1]


def test_one_sample_has_only_relations_between_classes() -> None:
    student, teacher = torch.randn(1, 4), torch.randn(1, 4)
    both, between = (LOSSES.parse({"dist": {"gamma": gamma}}) for gamma in (2.0, 0.0))
    outputs = Outputs(student, LABELS[:1], teacher)
    assert float(both(outputs)) == float(between(outputs))
