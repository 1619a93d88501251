"""Attention transfer against a float64 loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.errors import ModelError

LABELS = torch.zeros(2, dtype=torch.int64)
ATTENTION = LOSSES.parse({"attention": {"pairs": {"a": "x", "b": "y"}}})


def attention(image: np.ndarray) -> list[float]:
    channels, height, width = image.shape
    flat = [
        sum(float(image[c, y, x]) ** 2 for c in range(channels)) / channels for y in range(height) for x in range(width)
    ]
    length = math.sqrt(sum(value**2 for value in flat))
    return [value / length for value in flat]


def pair_loss(student: np.ndarray, teacher: np.ndarray) -> float:
    terms = [
        (left - right) ** 2
        for s, t in zip(student, teacher, strict=True)
        for left, right in zip(attention(s), attention(t), strict=True)
    ]
    return sum(terms) / len(terms)


def outputs(student: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor]) -> Outputs:
    return Outputs(torch.zeros(2, 3), LABELS, None, student, teacher)


def test_equals_the_formula_over_pairs_and_sizes() -> None:
    rng = np.random.default_rng(1)
    a, x = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(2, 7, 4, 4))
    b, y = rng.normal(size=(2, 2, 2, 2)), rng.normal(size=(2, 5, 4, 4))
    y_small = y.reshape(2, 5, 2, 2, 2, 2).mean((3, 5))
    student = {"a": torch.from_numpy(a), "b": torch.from_numpy(b)}
    teacher = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}
    expected = pair_loss(a, x) + pair_loss(b, y_small)
    assert float(ATTENTION(outputs(student, teacher))) == pytest.approx(expected, rel=1e-10)


def test_ignores_scale_and_channel_order() -> None:
    features = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    loss = LOSSES.parse({"attention": {"pairs": {"a": "x"}}})
    assert float(loss(outputs({"a": features}, {"x": 5 * features.flip(1)}))) == pytest.approx(0, abs=1e-15)


def test_gradient() -> None:
    student = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    loss = LOSSES.parse({"attention": {"pairs": {"a": "x"}}})
    assert torch.autograd.gradcheck(lambda s: loss(outputs({"a": s}, {"x": teacher})), student)


def test_taps_and_refusals() -> None:
    assert ATTENTION.taps() == (["a", "b"], ["x", "y"])
    with pytest.raises(ModelError, match="cannot compare"):
        ATTENTION.build(Shapes({"a": (2, 3), "b": (2, 3, 4, 4)}, {"x": (2, 3, 4, 4), "y": (2, 3, 4, 4)}))
    with pytest.raises(ValidationError):
        LOSSES.load("attention").model_validate({"pairs": {}})


def test_takes_a_layer_map() -> None:
    names = ["layer1", "layer1.conv", "layer2", "layer2.conv"]
    loss = LOSSES.parse({"attention": {"pairs": "last"}}).resolve(Layers(names[:2], names))
    assert loss.taps() == (["layer1"], ["layer2"])
