"""TinyBERT against float64 loops over heads and tokens, on small BERTs and ViTs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError

Bert = Callable[..., nn.Module]
Tokens = tuple[Tensor, Tensor]
Learn = Callable[..., Tensor]
LABELS = torch.tensor([0, 1, -100])


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_modules() if name]


def scores(query: np.ndarray, key: np.ndarray, heads: int) -> np.ndarray:
    """(h, T, T) of one sentence."""
    width = query.shape[1] // heads
    found = np.zeros((heads, len(query), len(query)))
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for i, q in enumerate(query[:, part]):
            for j, k in enumerate(key[:, part]):
                found[head, i, j] = float(q @ k) / math.sqrt(width)
    return found


def mean_square(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    errors = [(float(s) - float(t)) ** 2 for a, b in pairs for s, t in zip(a.flat, b.flat, strict=True)]
    return sum(errors) / len(errors)


class Case:
    """Taps of two-layer networks in the names of transformers, random float64."""

    def __init__(self, student: tuple[int, int] = (8, 2), teacher: tuple[int, int] = (12, 3), seed: int = 0) -> None:
        self.width = {"s": student[0], "t": teacher[0]}
        self.heads = {"s": student[1], "t": teacher[1]}
        generator = torch.Generator().manual_seed(seed)
        self.lengths = (5, 3, 1)
        self.mask = torch.arange(5) < torch.tensor(self.lengths)[:, None]
        self.depth = {"s": 2, "t": 4}
        self.taps: dict[str, dict[str, Tensor]] = {
            side: {
                name: torch.randn(3, 5, self.width[side], dtype=torch.float64, generator=generator)
                for name in self.tapped(side)
            }
            for side in "st"
        }
        layers = Layers(self.modules("s"), self.modules("t"))
        self.layers = layers
        self.shapes = Shapes(
            *({name: (2, *tensor.shape[1:]) for name, tensor in self.taps[side].items()} for side in "st"),
            student_heads={f"layer.{i}.self": self.heads["s"] for i in range(2)},
            teacher_heads={f"layer.{i}.self": self.heads["t"] for i in range(4)},
        )

    def tapped(self, side: str) -> list[str]:
        parts = [f"layer.{i}.self.{part}" for i in range(self.depth[side]) for part in ("query", "key", "value")]
        return ["embeddings", *(f"layer.{i}" for i in range(self.depth[side])), *parts]

    def modules(self, side: str) -> list[str]:
        return ["embeddings", "layer"] + [
            name
            for i in range(self.depth[side])
            for name in (f"layer.{i}", f"layer.{i}.self", *(f"layer.{i}.self.{p}" for p in ("query", "key", "value")))
        ]

    def loss(self, **options: object) -> tuple[Any, Any]:
        loss = LOSSES.parse({"tinybert": options}).resolve(self.layers)
        return loss, loss.build(self.shapes).double()

    def outputs(self, fit: Any, mask: Tensor | None, student: dict[str, Tensor] | None = None) -> Outputs:
        return Outputs(torch.zeros(3, 2), LABELS, None, student or self.taps["s"], self.taps["t"], fit, mask=mask)

    def reference(
        self, fit: Any, masked: bool, attention: float = 1, hidden: float = 1, embeddings: float = 1
    ) -> float:
        lengths = self.lengths if masked else (5, 5, 5)

        def rows(side: str, name: str) -> list[np.ndarray]:
            return [x[:n].numpy() for x, n in zip(self.taps[side][name], lengths, strict=True)]

        def projected(name: str, matrix: nn.Module) -> list[np.ndarray]:
            if isinstance(matrix, nn.Identity):
                return rows("s", name)
            return [x @ matrix.weight.detach().numpy().T for x in rows("s", name)]

        total = embeddings * mean_square(
            list(zip(projected("embeddings", fit.embeddings), rows("t", "embeddings"), strict=True))
        )
        for left, right in (("layer.0", "layer.1"), ("layer.1", "layer.3")):
            total += hidden * mean_square(list(zip(projected(left, fit.hidden), rows("t", right), strict=True)))
            sides = []
            for side, block in (("s", left), ("t", right)):
                queries, keys = rows(side, f"{block}.self.query"), rows(side, f"{block}.self.key")
                found = [scores(q, k, self.heads[side]) for q, k in zip(queries, keys, strict=True)]
                if self.heads["s"] != self.heads["t"]:
                    found = [x.mean(0) for x in found]
                sides.append(found)
            total += attention * mean_square(list(zip(*sides, strict=True)))
        return total


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    ("student", "teacher"), [((8, 2), (8, 2)), ((8, 2), (12, 2)), ((8, 4), (12, 3)), ((8, 1), (8, 8))]
)
def test_equals_the_formula(student: tuple[int, int], teacher: tuple[int, int], masked: bool) -> None:
    case = Case(student, teacher)
    for options in ({}, {"attention": 2.0, "hidden": 0.5, "embeddings": 3.0}):
        loss, fit = case.loss(**options)
        value = loss(case.outputs(fit, case.mask if masked else None))
        assert float(value.detach()) == pytest.approx(case.reference(fit, masked, **options), rel=1e-10)


def test_a_factor_of_zero_taps_nothing() -> None:
    case = Case()
    loss, _ = case.loss(attention=0, embeddings=0)
    assert loss.taps() == (["layer.0", "layer.1"], ["layer.1", "layer.3"])
    loss, fit = case.loss(hidden=0, embeddings=0)
    assert {name.split(".")[-1] for name in loss.taps()[0]} == {"query", "key", "value"}
    assert not list(fit.parameters())
    assert loss.compares_layers() and loss.pairs == {"layer.0": "layer.1", "layer.1": "layer.3"}


def test_explicit_pairs() -> None:
    case = Case()
    loss, _ = case.loss(pairs={"layer.1": "layer.0"}, embeddings=0)
    assert loss.taps()[1] == ["layer.0", *(f"layer.0.self.{part}" for part in ("query", "key", "value"))]


def test_gradient_and_identity() -> None:
    case = Case((4, 2), (6, 3))
    loss, fit = case.loss()
    named = {name: tensor.clone().requires_grad_() for name, tensor in case.taps["s"].items() if "value" not in name}
    filled = case.taps["s"] | named

    def run(*tensors: Tensor) -> Tensor:
        return loss(case.outputs(fit, case.mask, filled | dict(zip(named, tensors, strict=True))))

    assert torch.autograd.gradcheck(run, tuple(named.values()))
    same = Case((8, 2), (8, 2))
    loss, fit = same.loss(pairs={"layer.0": "layer.0"})
    same.taps["t"] = same.taps["s"]
    assert float(loss(same.outputs(fit, None))) == 0


def test_padding_changes_neither_loss_nor_gradient() -> None:
    case = Case()
    loss, fit = case.loss()
    expected = loss(case.outputs(fit, case.mask)).detach()
    for side in "st":
        for tensor in case.taps[side].values():
            tensor[~case.mask] = float("nan")
    student = {name: tensor.clone().requires_grad_() for name, tensor in case.taps["s"].items()}
    value = loss(case.outputs(fit, case.mask, student))
    value.backward()
    torch.testing.assert_close(value.detach(), expected)
    for name, tensor in student.items():
        if "value" not in name:
            assert bool(tensor.grad.isfinite().all()) and not tensor.grad[~case.mask].any()
            assert float(tensor.grad.abs().sum()) > 0
    assert bool(fit.hidden.weight.grad.isfinite().all())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_bert_teaches_a_narrower_and_shallower_one(
    bert: Bert, tokens: Tokens, learn: Learn, precision: torch.dtype
) -> None:
    student, teacher = bert(2, 16, 2, seed=1), bert(4, 32, 4).eval()
    example = tuple(part[:2] for part in tokens)
    objective = Objective([LOSSES.parse("tinybert")], student, teacher, example, classes=3)
    total = learn(objective, student, teacher, tokens, precision)
    total.backward()
    shapes = {name: tuple(p.shape) for name, p in objective.projectors.named_parameters()}
    assert shapes == {"tinybert.hidden.weight": (32, 16), "tinybert.embeddings.weight": (32, 16)}
    assert bool(total.detach().isfinite()) and float(total.detach()) > 0
    grads = {name: p.grad for name, p in student.named_parameters()}
    assert float(grads["network.bert.encoder.layer.1.attention.self.query.weight"].abs().sum()) > 0
    objective.close()


def test_a_vit_teaches_a_vit(learn: Learn) -> None:
    from timm.models.vision_transformer import VisionTransformer

    def vit(depth: int, width: int, heads: int, patch: int = 4) -> nn.Module:
        return VisionTransformer(
            img_size=8, patch_size=patch, embed_dim=width, depth=depth, num_heads=heads, num_classes=3
        )

    x = torch.randn(2, 3, 8, 8)
    student, teacher = vit(1, 12, 3), vit(2, 16, 4).eval()
    objective = Objective([LOSSES.parse("tinybert")], student, teacher, [x], classes=3)
    learn(objective, student, teacher, (x,)).backward()
    assert float(student.blocks[0].attn.qkv.weight.grad.abs().sum()) > 0
    objective.close()
    with pytest.raises(ModelError, match="token by token"):
        Objective([LOSSES.parse("tinybert")], vit(1, 12, 3, patch=2), teacher, [x], classes=3)


def test_refusals(bert: Bert, tokens: Tokens) -> None:
    case = Case()
    with pytest.raises(ValidationError, match="nothing to compare"):
        LOSSES.load("tinybert").model_validate({"attention": 0, "hidden": 0, "embeddings": 0})
    convolutional = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1)), nn.Sequential(nn.Conv2d(3, 3, 1)))
    with pytest.raises(ModelError, match="student has none that can be seen"):
        LOSSES.parse("tinybert").resolve(Layers(names(convolutional), case.modules("t")))
    with pytest.raises(ModelError, match=r"(?s)no embeddings in the student.*tinybert\.embeddings to 0"):
        LOSSES.parse("tinybert").resolve(Layers(case.modules("s")[1:], case.modules("t")))
    loss = LOSSES.parse("tinybert").resolve(case.layers)
    with pytest.raises(ModelError, match="0 heads, width 8"):
        loss.build(Shapes(case.shapes.student, case.shapes.teacher))
    with pytest.raises(ModelError, match="3 heads, width 8"):
        loss.build(
            Shapes(case.shapes.student, case.shapes.teacher, student_heads={f"layer.{i}.self": 3 for i in range(2)})
        )
    flat = dict.fromkeys(case.shapes.student, (2, 8))
    with pytest.raises(ModelError, match=r"compares tokens"):
        loss.build(Shapes(flat, case.shapes.teacher))
    with pytest.raises(ModelError, match="projector"):
        loss(case.outputs(None, None))
