"""FitNets hints against a float64 loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.errors import ModelError

HINT = LOSSES.parse({"hint": {"student": "a", "teacher": "b"}})
LABELS = torch.zeros(2, dtype=torch.int64)


def pool(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Average pooling by an integer factor."""
    channels, rows, columns = image.shape
    return image.reshape(channels, height, rows // height, width, columns // width).mean((2, 4))


def reference(student: np.ndarray, teacher: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    height, width = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    errors: list[float] = []
    for s, t in zip(student, teacher, strict=True):
        small, target = pool(s, height, width), pool(t, height, width)
        for channel in range(len(target)):
            for y in range(height):
                for x in range(width):
                    projected = float(weight[channel] @ small[:, y, x] + bias[channel])
                    errors.append((projected - target[channel, y, x]) ** 2)
    return sum(errors) / len(errors) / 2


@pytest.mark.parametrize(
    "shapes", [((2, 3, 4, 4), (2, 5, 4, 4)), ((2, 3, 8, 4), (2, 5, 4, 2)), ((2, 3, 2, 2), (2, 4, 6, 4))]
)
def test_equals_the_formula(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=shapes[0]), rng.normal(size=shapes[1])
    projector = HINT.build(Shapes({"a": shapes[0]}, {"b": shapes[1]}))
    assert projector is not None
    projector = projector.double()
    value = HINT(outputs(torch.from_numpy(student), torch.from_numpy(teacher), projector))
    weight = projector.weight.detach().numpy()[:, :, 0, 0]
    assert float(value.detach()) == pytest.approx(
        reference(student, teacher, weight, projector.bias.detach().numpy()), rel=1e-12
    )


def outputs(student: torch.Tensor, teacher: torch.Tensor, projector: torch.nn.Module | None) -> Outputs:
    return Outputs(torch.zeros(2, 3), LABELS, None, {"a": student}, {"b": teacher}, projector)


def test_flat_features_are_maps_of_one_pixel() -> None:
    projector = HINT.build(Shapes({"a": (2, 3)}, {"b": (2, 5)}))
    assert projector is not None
    student, teacher = torch.randn(2, 3), torch.randn(2, 5)
    expected = 0.5 * (projector(student[:, :, None, None])[:, :, 0, 0] - teacher).pow(2).mean()
    torch.testing.assert_close(HINT(outputs(student, teacher, projector)), expected)


def test_gradient_reaches_student_and_projector() -> None:
    shapes = (2, 2, 4, 4), (2, 3, 2, 2)
    projector = HINT.build(Shapes({"a": shapes[0]}, {"b": shapes[1]}))
    assert projector is not None
    projector = projector.double()
    student = torch.randn(shapes[0], dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(shapes[1], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: HINT(outputs(s, teacher, projector)), student)
    HINT(outputs(student, teacher, projector)).backward()
    assert projector.weight.grad is not None and float(projector.weight.grad.abs().sum()) > 0


def test_refuses_sequences_and_a_missing_projector() -> None:
    with pytest.raises(ModelError, match="feature maps"):
        HINT.build(Shapes({"a": (2, 3, 4)}, {"b": (2, 3, 4, 4)}))
    with pytest.raises(ModelError, match="projector"):
        HINT(outputs(torch.zeros(2, 3), torch.zeros(2, 3), None))
