"""Embedding distillation against a float64 loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError


def reference(student: np.ndarray, teacher: np.ndarray, distance: str) -> float:
    if distance == "mse":
        return sum((float(s) - float(t)) ** 2 for s, t in zip(student.flat, teacher.flat, strict=True)) / student.size
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        dot = sum(float(a) * float(b) for a, b in zip(s, t, strict=True))
        total += 1 - dot / math.sqrt(sum(float(a) ** 2 for a in s)) / math.sqrt(sum(float(b) ** 2 for b in t))
    return total / len(student)


def outputs(student: Tensor, teacher: Tensor | None, projector: nn.Module | None) -> Outputs:
    return Outputs(student, torch.full((len(student),), -100), teacher, projector=projector)


@pytest.mark.parametrize("distance", ["mse", "cosine"])
@pytest.mark.parametrize(("width", "batch"), [(5, 4), (3, 1)])
def test_equals_the_formula(distance: str, width: int, batch: int) -> None:
    loss = LOSSES.parse({"embedding": {"distance": distance}})
    projector = loss.build(Shapes({}, {}, student_width=width, teacher_width=5))
    assert projector is not None and len(list(projector.parameters())) == (width != 5)
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(batch, width)), rng.normal(size=(batch, 5))
    projected = student @ projector.weight.detach().double().numpy().T if width != 5 else student
    value = loss(outputs(torch.from_numpy(student), torch.from_numpy(teacher), projector.double()))
    assert float(value.detach()) == pytest.approx(reference(projected, teacher, distance), rel=1e-10)


@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_gradient_and_identity(distance: str) -> None:
    loss = LOSSES.parse({"embedding": {"distance": distance}})
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(outputs(s, teacher, nn.Identity())), student)
    factor = 1 if distance == "mse" else 7
    assert float(loss(outputs(factor * teacher, teacher, nn.Identity()))) == pytest.approx(0, abs=1e-15)


def test_the_objective_learns_a_projection_to_a_wider_teacher() -> None:
    student, teacher = nn.Linear(6, 3), nn.Linear(6, 5)
    x = torch.randn(2, 6)
    objective = Objective([LOSSES.parse("embedding")], student, teacher.eval(), [x], classes=3)
    assert objective.projectors["embedding"].weight.shape == (5, 3)
    total, _ = objective(student(x).bfloat16(), torch.tensor([0, -100]), teacher(x).detach().bfloat16())
    total.backward()
    assert bool(student.weight.grad.isfinite().all()) and float(student.weight.grad.abs().sum()) > 0
    objective.close()


def test_the_width_of_a_cached_teacher_is_told() -> None:
    student, x = nn.Linear(6, 3), torch.randn(2, 6)
    arguments = ([LOSSES.parse("embedding")], student, None, [x])
    objective = Objective(*arguments, classes=3, teacher_width=5)
    assert objective.projectors["embedding"].weight.shape == (5, 3)
    objective.close()
    untold = Objective(*arguments, classes=3)
    with pytest.raises(ModelError, match="another teacher"):
        untold(student(x), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 5))
    untold.close()


def test_refuses_a_missing_teacher_or_projector() -> None:
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        LOSSES.parse("embedding")(outputs(torch.zeros(1, 2), None, nn.Identity()))
    with pytest.raises(ModelError, match="projector"):
        LOSSES.parse("embedding")(outputs(torch.zeros(1, 2), torch.zeros(1, 2), None))
