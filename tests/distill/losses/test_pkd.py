"""Patient distillation against a float64 loop over blocks and samples, on small BERTs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError

Bert = Callable[..., nn.Module]
Tokens = tuple[Tensor, Tensor]
LOSS = LOSSES.parse({"pkd": {"pairs": {"a": "x", "b": "y"}}})


def modules(depth: int) -> list[str]:
    return ["layer", *(name for i in range(1, depth + 1) for name in (f"layer.{i}", f"layer.{i}.out"))]


def reference(student: list[np.ndarray], teacher: list[np.ndarray]) -> float:
    errors = []
    for left, right in zip(student, teacher, strict=True):
        for s, t in zip(left, right, strict=True):
            s_length, t_length = (math.sqrt(sum(float(v) ** 2 for v in x)) for x in (s, t))
            errors += [(float(u) / s_length - float(v) / t_length) ** 2 for u, v in zip(s, t, strict=True)]
    return sum(errors) / len(errors)


def outputs(student: dict[str, Tensor], teacher: dict[str, Tensor], projector: nn.Module | None) -> Outputs:
    rows = len(student["a"])
    return Outputs(torch.zeros(rows, 3), torch.full((rows,), -100), None, student, teacher, projector)


@pytest.mark.parametrize(("widths", "batch"), [((4, 4), 3), ((3, 5), 2), ((4, 4), 1)])
def test_equals_the_formula_and_reads_the_first_token_only(widths: tuple[int, int], batch: int) -> None:
    rng = np.random.default_rng(0)
    student = {name: torch.from_numpy(rng.normal(size=(batch, 6, widths[0]))) for name in "ab"}
    teacher = {name: torch.from_numpy(rng.normal(size=(batch, 6, widths[1]))) for name in "xy"}
    shapes = Shapes(dict.fromkeys("ab", (2, 6, widths[0])), dict.fromkeys("xy", (2, 6, widths[1])))
    projector = LOSS.build(shapes).double()
    first = [x[:, 0].numpy() for x in student.values()]
    if widths[0] != widths[1]:
        first = [x @ projector.weight.detach().numpy().T for x in first]
    value = LOSS(outputs(student, teacher, projector))
    assert float(value.detach()) == pytest.approx(
        reference(first, [x[:, 0].numpy() for x in teacher.values()]), rel=1e-10
    )
    noisy = {name: x.clone() for name, x in student.items()}
    for tensor in noisy.values():
        tensor[:, 1:] = float("nan")  # padding among them
        tensor.requires_grad_()
    again = LOSS(outputs(noisy, teacher, projector))
    again.backward()
    assert float(again.detach()) == float(value.detach())
    assert all(not x.grad[:, 1:].any() and bool(x.grad.isfinite().all()) for x in noisy.values())


def test_gradient_and_scale() -> None:
    student = [torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in "ab"]
    teacher = {name: torch.randn(2, 3, 4, dtype=torch.float64) for name in "xy"}
    identity = nn.Identity()
    assert torch.autograd.gradcheck(lambda a, b: LOSS(outputs({"a": a, "b": b}, teacher, identity)), tuple(student))
    scaled = {"a": 3 * teacher["x"], "b": 0.1 * teacher["y"]}
    assert float(LOSS(outputs(scaled, teacher, identity))) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("rule", "blocks"), [("skip", [2, 4, 6, 8, 10]), ("last", [7, 8, 9, 10, 11]), ("uniform", [2, 4, 6, 8, 10])]
)
def test_the_papers_maps_from_12_to_6_layers(rule: str, blocks: list[int]) -> None:
    loss = LOSSES.parse({"pkd": {"pairs": rule}}).resolve(Layers(modules(6), modules(12)))
    assert loss.taps() == ([f"layer.{i}" for i in range(1, 6)], [f"layer.{i}" for i in blocks])
    assert loss.compares_layers()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_bert_teaches_a_narrower_one(bert: Bert, tokens: Tokens, precision: torch.dtype) -> None:
    student, teacher = bert(3, 16, 2, seed=1), bert(6, 32, 4).eval()
    objective = Objective([LOSSES.parse("pkd")], student, teacher, tokens, classes=3)
    assert objective.projectors["pkd"].weight.shape == (32, 16)
    ids, mask = tokens
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        with torch.no_grad():
            soft = teacher(ids, mask)
        logits = student(ids, mask)
    total, terms = objective(logits, torch.tensor([0, 1, -100]), soft, mask=mask)
    total.backward()
    assert float(total.detach()) == pytest.approx(100 * float(terms[0]), rel=1e-5)
    reached = {
        name.split("layer.")[1][0]
        for name, p in student.named_parameters()
        if "encoder.layer" in name and p.grad is not None and p.grad.any()
    }
    assert reached == {"0", "1"}  # the last block is left to the other losses
    objective.close()


def test_a_copy_of_the_teacher_has_no_loss(bert: Bert, tokens: Tokens) -> None:
    student, teacher = bert(3).eval(), bert(3).eval()
    objective = Objective([LOSSES.parse({"pkd": {"pairs": "last"}})], student, teacher, tokens, classes=3)
    with torch.no_grad():
        total, _ = objective(student(*tokens), torch.tensor([0, 1, 2]), teacher(*tokens), mask=tokens[1])
    assert float(total) == pytest.approx(0, abs=1e-9)
    objective.close()


def test_refusals() -> None:
    with pytest.raises(ModelError, match="student of one block"):
        LOSSES.parse("pkd").resolve(Layers(modules(1), modules(4)))
    with pytest.raises(ModelError, match="compares tokens"):
        LOSS.build(Shapes(dict.fromkeys("ab", (2, 3, 4, 4)), dict.fromkeys("xy", (2, 5, 4))))
    with pytest.raises(ModelError, match="one width"):
        LOSS.build(Shapes({"a": (2, 5, 4), "b": (2, 5, 6)}, dict.fromkeys("xy", (2, 5, 4))))
    with pytest.raises(ModelError, match="projector"):
        LOSS(
            outputs(
                {"a": torch.zeros(1, 1, 1), "b": torch.zeros(1, 1, 1)}, dict.fromkeys("xy", torch.zeros(1, 1, 1)), None
            )
        )
    with pytest.raises(ModelError, match="call resolve"):
        LOSSES.parse("pkd").build(Shapes({}, {}))
