"""FitNets hints against a float64 loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from edgekd.distill.layer_maps import PairLoss
from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.errors import ModelError

Array = NDArray[np.float64]
LABELS = torch.zeros(2, dtype=torch.int64)


def hint(**fields: Any) -> PairLoss:
    loss = LOSSES.parse({"hint": {"student": "a", "teacher": "b", **fields}})
    assert isinstance(loss, PairLoss)
    return loss


def build(loss: Any, student: tuple[int, ...], teacher: tuple[int, ...]) -> Any:
    return loss.build(Shapes({"a": student}, {"b": teacher})).double()


def outputs(student: Any, teacher: Any, projector: Any, mask: torch.Tensor | None = None) -> Outputs:
    left, right = (torch.as_tensor(x) for x in (student, teacher))
    return Outputs(torch.zeros(2, 3), LABELS, None, {"a": left}, {"b": right}, projector, mask=mask)


def pool(image: Array, height: int, width: int) -> Array:
    """Average pooling by an integer factor."""
    channels, rows, columns = image.shape
    return image.reshape(channels, height, rows // height, width, columns // width).mean((2, 4))


def enlarge(image: Array, height: int, width: int) -> Array:
    """Bilinear interpolation between pixel centres, the border repeated."""
    channels, rows, columns = image.shape
    made = np.zeros((channels, height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            h = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            top, left = int(v), int(h)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            made[:, y, x] = (1 - (v - top)) * (
                (1 - (h - left)) * image[:, top, left] + (h - left) * image[:, top, right]
            ) + (v - top) * ((1 - (h - left)) * image[:, bottom, left] + (h - left) * image[:, bottom, right])
    return made


def positions(images: Array) -> Array:
    """One row of channels per pixel."""
    return np.moveaxis(images, 1, -1).reshape(-1, images.shape[1])


def half_mean_square(left: Array, right: Array) -> float:
    errors = [(a - b) ** 2 for u, v in zip(left, right, strict=True) for a, b in zip(u, v, strict=True)]
    return sum(errors) / len(errors) / 2


def affine(conv: Any, rows: Array) -> Array:
    weight, bias = conv.weight.detach().numpy()[:, :, 0, 0], conv.bias.detach().numpy()
    return np.array([[sum(w * x for w, x in zip(line, row, strict=True)) for line in weight] for row in rows]) + bias


@pytest.mark.parametrize("side", ["student", "teacher"])
@pytest.mark.parametrize("resize", ["pool", "interpolate"])
@pytest.mark.parametrize(
    "shapes", [((2, 3, 4, 4), (2, 5, 4, 4)), ((2, 3, 8, 4), (2, 5, 4, 2)), ((2, 3, 2, 2), (2, 4, 6, 4))]
)
def test_equals_the_formula(shapes: tuple[tuple[int, ...], tuple[int, ...]], resize: str, side: str) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=shapes[0]), rng.normal(size=shapes[1])
    loss = hint(resize=resize, adapter=side)
    projector = build(loss, *shapes)
    chosen, change = (min, pool) if resize == "pool" else (max, enlarge)
    size = [chosen(a, b) for a, b in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    left, right = (positions(np.array([change(image, *size) for image in x])) for x in (student, teacher))
    expected = (
        half_mean_square(affine(projector[0], left), right)
        if side == "student"
        else half_mean_square(left, affine(projector[0], right))
    )
    assert float(loss(outputs(student, teacher, projector)).detach()) == pytest.approx(expected, rel=1e-12)


def test_convolution_norm_and_relu() -> None:
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 3, 2, 2)), rng.normal(size=(2, 4, 2, 2))
    loss = hint(adapter_form="conv_norm_relu")
    projector = build(loss, student.shape, teacher.shape)
    rows = affine(projector[0][0], positions(student))
    normed = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + projector[0][1].eps)
    expected = half_mean_square(np.maximum(normed, 0), positions(teacher))
    assert float(loss(outputs(student, teacher, projector)).detach()) == pytest.approx(expected, rel=1e-10)


def test_normalized_is_one_minus_the_cosine() -> None:
    rng = np.random.default_rng(2)
    student, teacher = rng.normal(size=(2, 3, 2, 2)), rng.normal(size=(2, 4, 2, 2))
    loss = hint(normalize=True)
    projector = build(loss, student.shape, teacher.shape)
    rows, targets = affine(projector[0], positions(student)), positions(teacher)
    cosines = [u @ v / np.sqrt((u @ u) * (v @ v)) for u, v in zip(rows, targets, strict=True)]
    value = float(loss(outputs(student, teacher, projector)).detach())
    assert value == pytest.approx(1 - sum(cosines) / len(cosines), rel=1e-12)


def test_tokens_go_through_a_linear_layer_and_padding_counts_for_nothing() -> None:
    rng = np.random.default_rng(3)
    student, teacher = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 4))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
    projector = build(hint(), student.shape, teacher.shape)
    expected = half_mean_square(affine(projector[0], student[mask]), teacher[mask])
    padded = outputs(student, teacher, projector, torch.from_numpy(mask))
    assert float(hint()(padded).detach()) == pytest.approx(expected, rel=1e-12)
    everything = half_mean_square(affine(projector[0], student.reshape(10, 3)), teacher.reshape(10, 4))
    assert float(hint()(outputs(student, teacher, projector)).detach()) == pytest.approx(everything, rel=1e-12)


def test_flat_features_are_maps_of_one_pixel() -> None:
    rng = np.random.default_rng(4)
    student, teacher = rng.normal(size=(2, 3)), rng.normal(size=(2, 5))
    projector = build(hint(), student.shape, teacher.shape)
    expected = half_mean_square(affine(projector[0], student), teacher)
    assert float(hint()(outputs(student, teacher, projector)).detach()) == pytest.approx(expected, rel=1e-12)


def test_pairs_add_up() -> None:
    loss = LOSSES.parse({"hint": {"pairs": "uniform"}})
    names = ["stage1", "stage1.conv", "stage2", "stage2.conv"]
    loss = loss.resolve(Layers(names, names))
    assert loss.taps() == (["stage1", "stage2"], ["stage1", "stage2"])
    taps = {name: torch.randn(2, 3, 4, 4) for name in ("stage1", "stage2")}
    targets = {name: torch.randn(2, 5, 4, 4) for name in ("stage1", "stage2")}
    projector = loss.build(Shapes(*({name: tuple(x.shape) for name, x in side.items()} for side in (taps, targets))))
    assert isinstance(projector, torch.nn.ModuleList)
    singles = [
        hint()(outputs(taps[name], targets[name], torch.nn.ModuleList([adapter])))
        for name, adapter in zip(taps, projector, strict=True)
    ]
    torch.testing.assert_close(
        loss(Outputs(torch.zeros(2, 3), LABELS, None, taps, targets, projector)), singles[0] + singles[1]
    )


@pytest.mark.parametrize(
    "fields", [{"student": "a"}, {}, {"pairs": {}}, {"student": "a", "teacher": "b", "pairs": "uniform"}]
)
def test_takes_one_form(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"give 'student' and 'teacher', or 'pairs'|give uniform, last, skip"):
        LOSSES.load("hint").model_validate(fields)


def test_refuses_what_it_cannot_compare_and_a_missing_projector() -> None:
    for student, teacher in (((2, 3, 4), (2, 3, 4, 4)), ((2, 7, 3), (2, 6, 3)), ((2, 3, 4, 4, 4), (2, 3))):
        with pytest.raises(ModelError, match="cannot compare these layers"):
            build(hint(), student, teacher)
    with pytest.raises(ModelError, match="projector"):
        hint()(outputs(torch.zeros(2, 3), torch.zeros(2, 3), None))
