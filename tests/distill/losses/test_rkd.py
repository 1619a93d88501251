"""Relational distillation against float64 loops over pairs and triples."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError

OUTPUTS = {"student": "outputs", "teacher": "outputs"}


def huber(x: float, y: float) -> float:
    gap = abs(x - y)
    return 0.5 * gap**2 if gap <= 1 else gap - 0.5


def distance_term(student: np.ndarray, teacher: np.ndarray) -> float:
    pairs = list(permutations(range(len(student)), 2))
    found = []
    for x in (student, teacher):
        lengths = [float(np.linalg.norm(x[i] - x[j])) for i, j in pairs]
        found.append([length / (sum(lengths) / len(lengths)) for length in lengths])
    return sum(huber(t, s) for s, t in zip(*found, strict=True)) / len(pairs)


def angle(x: np.ndarray, i: int, j: int, k: int) -> float:
    left, right = x[i] - x[j], x[k] - x[j]
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def angle_term(student: np.ndarray, teacher: np.ndarray) -> float:
    triples = list(permutations(range(len(student)), 3))
    return sum(huber(angle(teacher, *triple), angle(student, *triple)) for triple in triples) / len(triples)


def rkd(student: np.ndarray | torch.Tensor, teacher: np.ndarray | torch.Tensor, **options: object) -> torch.Tensor:
    student, teacher = torch.as_tensor(student), torch.as_tensor(teacher)
    labels = torch.zeros(len(student), dtype=torch.int64)
    return LOSSES.parse({"rkd": {**OUTPUTS, **options}})(Outputs(student, labels, teacher))


@pytest.mark.parametrize("scale", [1.0, 9.0])  # 9: outliers that reach the linear part of the Huber loss
def test_equals_the_formula_at_different_widths(scale: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(6, 3)), rng.normal(size=(6, 5))
    teacher[0] *= scale
    distance, angles = distance_term(student, teacher), angle_term(student, teacher)
    assert float(rkd(student, teacher, angle=0)) == pytest.approx(25 * distance, rel=1e-10)
    assert float(rkd(student, teacher, distance=0)) == pytest.approx(50 * angles, rel=1e-10)
    assert float(rkd(student, teacher, distance=2, angle=3)) == pytest.approx(2 * distance + 3 * angles, rel=1e-10)


def test_ignores_scale_shift_and_rotation() -> None:
    x = torch.randn(5, 4, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    assert float(rkd(x, 3 * x @ rotation + 1)) == pytest.approx(0, abs=1e-12)
    assert float(rkd(x, x**3)) > 0.01


def test_gradient_also_where_samples_coincide() -> None:
    teacher = torch.randn(4, 3, dtype=torch.float64)
    student = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: rkd(s, teacher), student)
    collapsed = torch.zeros(4, 2, requires_grad=True)
    loss = rkd(collapsed, teacher.float())
    loss.backward()
    assert float(loss.detach()) > 0 and torch.equal(collapsed.grad, torch.zeros(4, 2))
    twins = torch.tensor([[1.0, 2], [1, 2], [0, 3], [4, 4]], requires_grad=True)
    rkd(twins, teacher.float()).backward()
    assert bool(twins.grad.isfinite().all()) and float(twins.grad.abs().max()) < 1e3


@pytest.mark.parametrize("batch", [1, 2])
def test_batches_without_pairs_or_triples(batch: int) -> None:
    student, teacher = torch.randn(batch, 3, requires_grad=True), torch.randn(batch, 3)
    loss = rkd(student, teacher)
    loss.backward()
    assert float(loss.detach()) == 0 and torch.equal(student.grad, torch.zeros(batch, 3))


def test_layers_are_pooled_without_padding() -> None:
    loss = LOSSES.parse({"rkd": {"student": "a", "teacher": "b"}})
    assert loss.taps() == (["a"], ["b"]) and loss.compares_layers()
    loss.build(Shapes({"a": (2, 3, 4, 4)}, {"b": (2, 6, 5)}))
    tokens, mask = torch.randn(4, 6, 5), torch.arange(6) < torch.tensor([6, 3, 1, 2])[:, None]
    image = torch.randn(4, 3, 4, 4)
    vectors = torch.stack([row[:length].mean(0) for row, length in zip(tokens, (6, 3, 1, 2), strict=True)])
    labels = torch.zeros(4, dtype=torch.int64)
    padded = tokens.masked_fill(~mask[:, :, None], float("nan"))
    found = loss(Outputs(torch.zeros(4, 3), labels, None, {"a": image}, {"b": padded}, mask=mask))
    torch.testing.assert_close(found, rkd(image.mean((2, 3)), vectors))


def test_takes_the_last_blocks_where_no_layer_is_named() -> None:
    layers = Layers(["layer1", "layer1.0", "layer2", "layer2.0"], ["a.0", "a.0.b", "a.1", "a.1.b", "a.2", "a.2.b"])
    loss = LOSSES.parse("rkd")
    assert loss.compares_layers() and loss.resolve(layers).taps() == (["layer2"], ["a.2"])
    named = LOSSES.parse({"rkd": {"student": "layer1", "teacher": "outputs"}})
    assert named.resolve(layers).taps() == (["layer1"], [])


def test_half_precision() -> None:
    student, teacher = nn.Linear(6, 3), nn.Linear(6, 5).eval()
    x = torch.randn(4, 6)
    objective = Objective([LOSSES.parse({"rkd": OUTPUTS})], student, teacher, [x], classes=3)
    left, right = student(x).bfloat16(), teacher(x).detach().bfloat16()
    total, _ = objective(left, torch.zeros(4, dtype=torch.int64), right)
    total.backward()
    assert bool(student.weight.grad.isfinite().all())
    assert float(total.detach()) == pytest.approx(float(rkd(left.float().detach(), right.float())), rel=1e-6)


def test_refusals() -> None:
    assert not LOSSES.parse({"rkd": OUTPUTS}).compares_layers()
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        LOSSES.parse({"rkd": OUTPUTS})(Outputs(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)))
    with pytest.raises(ModelError, match=r"(?s)513 rows.*rkd\.angle to 0"):
        rkd(torch.zeros(513, 1), torch.zeros(513, 1))
    assert rkd(torch.zeros(513, 1), torch.zeros(513, 1), angle=0) == 0
    with pytest.raises(ModelError, match="the same samples"):
        rkd(torch.zeros(3, 1), torch.zeros(4, 1))
    with pytest.raises(ModelError, match="flat features"):
        LOSSES.parse({"rkd": {"student": "a"}}).build(Shapes({"a": (2,)}, {}))
    with pytest.raises(ValidationError, match="nothing to compare"):
        LOSSES.load("rkd").model_validate({"distance": 0, "angle": 0})
