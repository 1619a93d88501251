"""Masked generative distillation against a float64 loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.errors import ModelError

LABELS = torch.zeros(2, dtype=torch.int64)


def mgd(ratio: float) -> Any:
    return LOSSES.parse({"mgd": {"pairs": {"a": "b"}, "ratio": ratio}})


def outputs(student: Any, teacher: Any, projector: Any) -> Outputs:
    left, right = (torch.as_tensor(x) for x in (student, teacher))
    return Outputs(torch.zeros(2, 3), LABELS, None, {"a": left}, {"b": right}, projector)


def convolved(image: np.ndarray, conv: Any) -> np.ndarray:
    """A convolution of odd kernel with zero padding that keeps the size."""
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    margin = weight.shape[2] // 2
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin)))
    made = np.zeros((len(weight), height, width))
    for out in range(len(weight)):
        for y in range(height):
            for x in range(width):
                window = padded[:, y : y + weight.shape[2], x : x + weight.shape[3]]
                made[out, y, x] = (weight[out] * window).sum() + bias[out]
    return made


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.75])
def test_equals_the_formula(ratio: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(2, 5, 4, 4))
    projector = mgd(ratio).build(Shapes({"a": student.shape}, {"b": teacher.shape})).double()
    align, generation = projector[0]
    torch.manual_seed(7)
    drawn = torch.rand(2, 1, 4, 4).numpy()
    torch.manual_seed(7)
    value = mgd(ratio)(outputs(student, teacher, projector))
    errors: list[float] = []
    for s, t, r in zip(student, teacher, drawn, strict=True):
        masked = convolved(s, align) * np.where(r < ratio, 0, 1)
        made = convolved(np.maximum(convolved(masked, generation[0]), 0), generation[2])
        errors += ((made - t) ** 2).ravel().tolist()
    assert float(value.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-10)


def test_the_mask_is_anew_in_every_step_and_follows_torchs_state() -> None:
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    loss = mgd(0.5)
    projector = loss.build(Shapes({"a": (2, 3, 4, 4)}, {"b": (2, 5, 2, 2)}))
    state = torch.get_rng_state()
    first, second = (float(loss(outputs(student, teacher, projector)).detach()) for _ in range(2))
    torch.set_rng_state(state)
    assert float(loss(outputs(student, teacher, projector)).detach()) == first != second


def test_refuses_flat_features() -> None:
    with pytest.raises(ModelError, match=r"(?s)'mgd' cannot compare.*feature maps"):
        mgd(0.5).build(Shapes({"a": (2, 3)}, {"b": (2, 3, 4, 4)}))
