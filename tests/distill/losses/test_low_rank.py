"""Low-rank projection against a float64 loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.errors import ModelError

LABELS = torch.zeros(4, dtype=torch.int64)


def low_rank(rank: int | None = None) -> Any:
    return LOSSES.parse({"low_rank": {"pairs": {"a": "b"}, "rank": rank}})


def outputs(student: Any, teacher: Any, projector: Any, mask: torch.Tensor | None = None) -> Outputs:
    left, right = (torch.as_tensor(x) for x in (student, teacher))
    return Outputs(torch.zeros(4, 3), LABELS, None, {"a": left}, {"b": right}, projector, mask=mask)


def normalised(rows: list[list[float]]) -> list[list[float]]:
    columns: list[list[float]] = []
    for column in zip(*rows, strict=True):
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        columns.append([(value - mean) / math.sqrt(variance + 1e-4) for value in column])
    return [list(row) for row in zip(*columns, strict=True)]


def reference(student: np.ndarray, teacher: np.ndarray, u: np.ndarray, v: np.ndarray) -> float:
    """Of rows (N, C_s) and (N, C_t), with U (C_s, r) and V (r, C_t)."""
    left, right = normalised((student @ u @ v).tolist()), normalised(teacher.tolist())
    return math.log(1 + sum((a - b) ** 4 for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True)))


def factors(projector: Any) -> tuple[np.ndarray, np.ndarray]:
    u, v = (conv.weight.detach().numpy()[:, :, 0, 0].T for conv in projector[0])
    return u, v


def test_equals_the_formula_on_maps() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(4, 6, 2, 3)), rng.normal(size=(4, 8, 4, 6))
    projector = low_rank(2).build(Shapes({"a": student.shape}, {"b": teacher.shape})).double()
    u, v = factors(projector)
    assert u.shape == (6, 2) and v.shape == (2, 8)
    small = teacher.reshape(4, 8, 2, 2, 3, 2).mean((3, 5))
    rows = [np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]) for x in (student, small)]
    value = low_rank(2)(outputs(student, teacher, projector))
    assert float(value.detach()) == pytest.approx(reference(*rows, u, v), rel=1e-10)


def test_equals_the_formula_on_real_tokens() -> None:
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(4, 5, 6)), rng.normal(size=(4, 5, 4))
    mask = np.arange(5) < np.array([5, 3, 1, 2])[:, None]
    projector = low_rank().build(Shapes({"a": student.shape}, {"b": teacher.shape})).double()
    u, v = factors(projector)
    assert u.shape == (6, 2)
    value = low_rank()(outputs(student, teacher, projector, torch.from_numpy(mask)))
    assert float(value.detach()) == pytest.approx(reference(student[mask], teacher[mask], u, v), rel=1e-10)


def test_is_zero_where_the_projected_features_are_the_teachers() -> None:
    student = torch.randn(4, 6, 3, 3, dtype=torch.float64)
    projector = low_rank(2).build(Shapes({"a": (4, 6, 3, 3)}, {"b": (4, 8, 3, 3)})).double()
    teacher = projector[0](student).detach() + 1  # batch normalisation removes the shift
    assert float(low_rank(2)(outputs(student, teacher, projector)).detach()) == pytest.approx(0, abs=1e-12)


def test_refuses_a_rank_above_the_width() -> None:
    with pytest.raises(ModelError, match=r"(?s)above the width.*rank up to 6"):
        low_rank(7).build(Shapes({"a": (4, 6)}, {"b": (4, 8)}))
