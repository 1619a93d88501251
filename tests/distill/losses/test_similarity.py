"""Similarity-preserving distillation against a float64 loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Layers, Outputs
from edgekd.errors import ModelError

LOSS = LOSSES.parse({"similarity": {"pairs": {"a": "x", "b": "y"}}})


def similarity(features: np.ndarray) -> list[list[float]]:
    rows = [row.reshape(-1) for row in features]
    gram = [[float(left @ right) for right in rows] for left in rows]
    return [[value / math.sqrt(sum(other**2 for other in row)) for value in row] for row in gram]


def pair_loss(student: np.ndarray, teacher: np.ndarray) -> float:
    pairs = zip(similarity(student), similarity(teacher), strict=True)
    squares = [(s - t) ** 2 for left, right in pairs for s, t in zip(left, right, strict=True)]
    return sum(squares) / len(student) ** 2


def outputs(
    student: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor], mask: torch.Tensor | None = None
) -> Outputs:
    rows = len(next(iter(student.values())))
    return Outputs(torch.zeros(rows, 3), torch.zeros(rows, dtype=torch.int64), None, student, teacher, mask=mask)


def test_equals_the_formula_over_pairs_and_shapes() -> None:
    rng = np.random.default_rng(0)
    a, x = rng.normal(size=(5, 3, 4, 4)), rng.normal(size=(5, 7, 2, 2))
    b, y = rng.normal(size=(5, 6)), rng.normal(size=(5, 3, 4))
    student = {"a": torch.from_numpy(a), "b": torch.from_numpy(b)}
    teacher = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}
    assert float(LOSS(outputs(student, teacher))) == pytest.approx(pair_loss(a, x) + pair_loss(b, y), rel=1e-10)


def test_compares_the_outputs_where_asked() -> None:
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(4, 3)), rng.normal(size=(4, 5))
    loss = LOSSES.parse({"similarity": {"pairs": {"outputs": "outputs"}}})
    labels = torch.zeros(4, dtype=torch.int64)
    value = loss(Outputs(torch.from_numpy(student), labels, torch.from_numpy(teacher)))
    assert float(value) == pytest.approx(pair_loss(student, teacher), rel=1e-10)
    assert not loss.compares_layers() and LOSS.compares_layers() and LOSS.taps() == (["a", "b"], ["x", "y"])
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        loss(Outputs(torch.zeros(4, 3), labels))


def test_takes_a_layer_map() -> None:
    loss = LOSSES.parse({"similarity": {"pairs": "last"}})
    assert loss.compares_layers()
    names = ["layer1", "layer1.0", "layer2", "layer2.0"]
    assert LOSSES.parse("similarity").compares_layers()
    assert LOSSES.parse("similarity").resolve(Layers(names[:2], names)).taps() == (["layer1"], ["layer2"])
    assert loss.resolve(Layers(names[:2], names)).taps() == (["layer1"], ["layer2"])


def test_ignores_scale_and_the_order_of_features() -> None:
    loss = LOSSES.parse({"similarity": {"pairs": {"a": "x"}}})
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    assert float(loss(outputs({"a": x}, {"x": 4 * x.flip(1)}))) == pytest.approx(0, abs=1e-15)
    assert float(loss(outputs({"a": x[:1]}, {"x": torch.randn(1, 2)}))) == pytest.approx(0, abs=1e-12)  # G is (1)


def test_gradient_also_of_a_dead_sample() -> None:
    loss = LOSSES.parse({"similarity": {"pairs": {"a": "x"}}})
    student = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(outputs({"a": s}, {"x": teacher})), student)
    dead = torch.randn(3, 4)
    dead[1] = 0
    dead.requires_grad_()
    loss(outputs({"a": dead}, {"x": teacher.float()})).backward()
    assert bool(dead.grad.isfinite().all()) and float(dead.grad.abs().max()) < 1e3


def test_padding_counts_for_nothing() -> None:
    loss = LOSSES.parse({"similarity": {"pairs": {"a": "x"}}})
    mask = torch.arange(5) < torch.tensor([5, 3, 1])[:, None]
    student, teacher = torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    hidden = ~mask[:, :, None]
    expected = pair_loss(student.masked_fill(hidden, 0).numpy(), teacher.masked_fill(hidden, 0).numpy())
    noisy = student.masked_fill(hidden, float("nan")).requires_grad_()
    value = loss(outputs({"a": noisy}, {"x": teacher.masked_fill(hidden, 1e9)}, mask))
    value.backward()
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert torch.equal(noisy.grad[~mask], torch.zeros(6, 4))


def test_half_precision() -> None:
    x, y = torch.randn(6, 4), torch.randn(6, 4)
    loss = LOSSES.parse({"similarity": {"pairs": {"a": "x"}}})
    half = loss(outputs({"a": x.bfloat16()}, {"x": y.bfloat16()}))
    assert float(half) == pytest.approx(float(loss(outputs({"a": x}, {"x": y}))), rel=0.1)


def test_the_order_of_memory_is_nothing_to_the_loss() -> None:
    x, y = torch.randn(6, 4, 5, 3), torch.randn(6, 2, 5, 3)
    loss = LOSSES.parse({"similarity": {"pairs": {"a": "x"}}})
    last = [tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, y)]
    value = float(loss(outputs({"a": last[0]}, {"x": last[1]})))
    assert value == pytest.approx(float(loss(outputs({"a": x}, {"x": y}))), rel=1e-6)
