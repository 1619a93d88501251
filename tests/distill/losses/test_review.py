"""Knowledge review against a float64 loop, module by module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.errors import ModelError

LABELS = torch.zeros(3, dtype=torch.int64)
REVIEW = LOSSES.parse({"review": {"pairs": {"a": "x", "b": "y", "c": "z"}}})


def convolved(images: np.ndarray, conv: Any) -> np.ndarray:
    """A convolution of odd kernel with zero padding that keeps the size."""
    weight = conv.weight.detach().numpy()
    bias = np.zeros(len(weight)) if conv.bias is None else conv.bias.detach().numpy()
    size = weight.shape[2]
    margin = size // 2
    padded = np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    made = np.zeros((len(images), len(weight), *images.shape[2:]))
    for out in range(len(weight)):
        for y in range(images.shape[2]):
            for x in range(images.shape[3]):
                made[:, out, y, x] = (weight[out] * padded[:, :, y : y + size, x : x + size]).sum((1, 2, 3)) + bias[out]
    return made


def normed(images: np.ndarray, norm: Any) -> np.ndarray:
    mean, variance = images.mean((0, 2, 3), keepdims=True), images.var((0, 2, 3), keepdims=True)
    return (images - mean) / np.sqrt(variance + norm.eps)


def nearest(images: np.ndarray, height: int, width: int) -> np.ndarray:
    rows = [y * images.shape[2] // height for y in range(height)]
    columns = [x * images.shape[3] // width for x in range(width)]
    return images[:, :, rows][:, :, :, columns]


def pooled(images: np.ndarray, size: int) -> np.ndarray:
    """Adaptive average pooling: window i covers floor(i n / size) to ceil((i + 1) n / size)."""
    _, _, height, width = images.shape
    made = np.zeros((*images.shape[:2], size, size))
    for y in range(size):
        for x in range(size):
            rows = slice(y * height // size, -(-(y + 1) * height // size))
            columns = slice(x * width // size, -(-(x + 1) * width // size))
            made[:, :, y, x] = images[:, :, rows, columns].mean((2, 3))
    return made


def context_loss(student: np.ndarray, teacher: np.ndarray) -> float:
    levels = [(student, teacher)]
    levels += [(pooled(student, n), pooled(teacher, n)) for n in (4, 2, 1) if n < min(student.shape[2:])]
    weights = [0.5**level for level in range(len(levels))]
    return sum(w * float(((s - t) ** 2).mean()) for w, (s, t) in zip(weights, levels, strict=True)) / sum(weights)


def reference(student: list[np.ndarray], teacher: list[np.ndarray], projector: Any) -> float:
    total, residual = 0.0, None
    for s, t, fusion in reversed(list(zip(student, teacher, projector, strict=True))):
        x = normed(convolved(s, fusion[0][0]), fusion[0][1])
        if residual is not None:
            y = nearest(residual, *x.shape[2:])
            attention = 1 / (1 + np.exp(-convolved(np.concatenate([x, y], 1), fusion[2])))
            x = x * attention[:, [0]] + y * attention[:, [1]]
        residual = nearest(x, *t.shape[2:])
        total += context_loss(normed(convolved(residual, fusion[1][0]), fusion[1][1]), t)
    return total


def outputs(student: list[Any], teacher: list[Any], projector: Any) -> Outputs:
    left, right = (dict(zip(names, side, strict=True)) for names, side in (("abc", student), ("xyz", teacher)))
    taps = [{name: torch.as_tensor(value) for name, value in side.items()} for side in (left, right)]
    return Outputs(torch.zeros(3, 3), LABELS, None, taps[0], taps[1], projector)


def build(student: list[Any], teacher: list[Any]) -> Any:
    shapes = [
        {name: tuple(x.shape) for name, x in zip(names, side, strict=True)}
        for names, side in (("abc", student), ("xyz", teacher))
    ]
    return REVIEW.build(Shapes(*shapes)).double()  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("last", [(4, 4), (1, 1)])
def test_equals_the_formula(last: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    student = [rng.normal(size=(3, c, *size)) for c, size in ((2, (8, 8)), (3, (4, 4)), (5, last))]
    teacher = [rng.normal(size=(3, c, *size)) for c, size in ((3, (8, 8)), (4, (7, 7)), (6, last))]
    projector = build(student, teacher)
    assert projector[0][0][0].weight.shape == (5, 2, 1, 1) and len(projector[2]) == 2
    value = float(REVIEW(outputs(student, teacher, projector)).detach())
    assert value == pytest.approx(reference(student, teacher, projector), rel=1e-9)


def test_flat_features_are_maps_of_one_pixel() -> None:
    student = [torch.randn(3, 2, 4, 4).double(), torch.randn(3, 3, 2, 2).double(), torch.randn(3, 5).double()]
    teacher = [torch.randn(3, 3, 4, 4).double(), torch.randn(3, 4, 2, 2).double(), torch.randn(3, 6).double()]
    projector = build(student, teacher)
    as_maps = [[*side[:2], side[2][:, :, None, None]] for side in (student, teacher)]
    torch.testing.assert_close(
        REVIEW(outputs(student, teacher, projector)), REVIEW(outputs(as_maps[0], as_maps[1], projector))
    )


def test_the_deepest_pair_teaches_the_shallowest() -> None:
    """The residual path: the shallowest teacher map's loss reaches the deepest student layer."""
    student = [torch.randn(3, c, n, n, dtype=torch.float64, requires_grad=True) for c, n in ((2, 8), (3, 4), (5, 2))]
    teacher = [torch.randn(3, c, n, n, dtype=torch.float64) for c, n in ((3, 8), (4, 4), (6, 2))]
    projector = build(student, teacher)
    other = [teacher[0].flip(0), *teacher[1:]]
    grads = [
        torch.autograd.grad(REVIEW(outputs(student, targets, projector)), student[2])[0] for targets in (teacher, other)
    ]
    assert not torch.allclose(*grads)


def test_takes_the_stages_and_refuses_tokens() -> None:
    names = ["layer1", "layer1.conv", "layer2", "layer2.conv"]
    loss = LOSSES.parse({"review": {"pairs": "uniform"}}).resolve(Layers(names, names))
    assert loss.taps() == (["layer1", "layer2"], ["layer1", "layer2"])
    with pytest.raises(ModelError, match="'review' cannot compare"):
        loss.build(Shapes({"layer1": (2, 5, 3), "layer2": (2, 5, 3)}, {"layer1": (2, 5, 3), "layer2": (2, 5, 3)}))
