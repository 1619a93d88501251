"""MiniLMv2 against float64 loops over relation heads and tokens, on small BERTs and ViTs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.loss import LOSSES, Layers, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError

Bert = Callable[..., nn.Module]
Tokens = tuple[Tensor, Tensor]
Learn = Callable[..., Tensor]
LABELS = torch.tensor([0, 1, -100])
PARTS = ("query", "key", "value")
LENGTHS = (5, 3, 1)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]


def relations(x: np.ndarray, heads: int) -> list[list[list[float]]]:
    """Softmax rows of one sentence's tokens (T, H), by relation head and token."""
    width = x.shape[1] // heads
    found = []
    for head in range(heads):
        part = x[:, head * width : (head + 1) * width]
        rows = [[math.exp(float(a @ b) / math.sqrt(width)) for b in part] for a in part]
        found.append([[value / sum(row) for value in row] for row in rows])
    return found


def reference(student: dict[str, Tensor], teacher: dict[str, Tensor], heads: int, lengths: tuple[int, ...]) -> float:
    total = 0.0
    for part in PARTS:
        for s, t, length in zip(student[f"s.{part}"], teacher[f"t.{part}"], lengths, strict=True):
            left, right = relations(s[:length].numpy(), heads), relations(t[:length].numpy(), heads)
            sentence = 0.0
            for head in range(heads):
                for q, p in zip(left[head], right[head], strict=True):
                    sentence += sum(b * (math.log(b) - math.log(a)) for a, b in zip(q, p, strict=True))
            total += sentence / heads / length / len(lengths)
    return total


def case(widths: tuple[int, int] = (8, 12), seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        {f"{side}.{part}": torch.randn(3, 5, width, dtype=torch.float64, generator=generator) for part in PARTS}
        for side, width in zip("st", widths, strict=True)
    )
    return student, teacher


def built(student: dict[str, Tensor], teacher: dict[str, Tensor], heads: int = 4, **options: Any) -> tuple[Any, Any]:
    loss = LOSSES.parse({"minilm": options}).resolve(Layers(["s", *student], ["t", *teacher]))
    shapes = ({name: (2, *x.shape[1:]) for name, x in side.items()} for side in (student, teacher))
    return loss, loss.build(Shapes(*shapes, student_heads={"s": 2}, teacher_heads={"t": heads}))


def outputs(student: dict[str, Tensor], teacher: dict[str, Tensor], built: Any, mask: Tensor | None) -> Outputs:
    return Outputs(torch.zeros(3, 2), LABELS, None, student, teacher, built, mask=mask)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("widths", "heads"), [((8, 12), 4), ((8, 12), 1), ((8, 8), 8)])
def test_equals_the_formula(widths: tuple[int, int], heads: int, masked: bool) -> None:
    student, teacher = case(widths)
    loss, projector = built(student, teacher, relation_heads=heads)
    value = loss(outputs(student, teacher, projector, MASK if masked else None))
    assert float(value) == pytest.approx(reference(student, teacher, heads, LENGTHS if masked else (5, 5, 5)), rel=1e-9)


def test_takes_the_teachers_heads_by_default() -> None:
    student, teacher = case()
    values = [
        loss(outputs(student, teacher, projector, None))
        for loss, projector in (built(student, teacher, heads=4), built(student, teacher, relation_heads=4))
    ]
    assert float(values[0]) == float(values[1]) != 0


def test_gradient_and_identity() -> None:
    student, teacher = case((4, 6))
    loss, projector = built(student, teacher, relation_heads=2)
    for tensor in student.values():
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *parts: loss(outputs(dict(zip(student, parts, strict=True)), teacher, projector, MASK)),
        tuple(student.values()),
    )
    copied = {name.replace("t.", "s."): tensor for name, tensor in teacher.items()}
    assert float(loss(outputs(copied, teacher, projector, MASK))) == pytest.approx(0, abs=1e-15)


def test_padding_changes_neither_loss_nor_gradient() -> None:
    student, teacher = case()
    loss, projector = built(student, teacher)
    expected = loss(outputs(student, teacher, projector, MASK))
    for tensor in (*student.values(), *teacher.values()):
        tensor[~MASK] = float("nan")
    for tensor in student.values():
        tensor.requires_grad_()
    value = loss(outputs(student, teacher, projector, MASK))
    value.backward()
    torch.testing.assert_close(value.detach(), expected)
    for tensor in student.values():
        assert bool(tensor.grad.isfinite().all()) and not tensor.grad[~MASK].any()
        assert float(tensor.grad[0].abs().sum()) > 0


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_bert_teaches_one_of_other_width_and_heads(
    bert: Bert, tokens: Tokens, learn: Learn, precision: torch.dtype
) -> None:
    student, teacher = bert(2, 24, 3, seed=1), bert(4, 32, 8).eval()
    losses = [LOSSES.parse({"minilm": {"teacher_layer": 3}})]
    objective = Objective(losses, student, teacher, tokens, classes=3)
    assert objective._teacher_taps is not None
    assert objective._teacher_taps.layers[0] == "network.bert.encoder.layer.2.attention.self.query"
    total = learn(objective, student, teacher, tokens, precision)
    total.backward()
    assert bool(total.detach().isfinite()) and float(total.detach()) > 0
    last = student.get_submodule("network.bert.encoder.layer.1.attention.self.value")
    assert float(last.weight.grad.abs().sum()) > 0
    objective.close()


@pytest.mark.parametrize("loss", ["minilm", {"tinybert": {"embeddings": 0}}])
@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_vit_teaches_a_vit(library: str, loss: Any, learn: Learn) -> None:
    from timm.models.vision_transformer import VisionTransformer as Timm
    from torchvision.models import VisionTransformer as Torchvision

    student = Timm(embed_dim=8, num_heads=2, img_size=8, patch_size=4, num_classes=3, depth=2)
    if library == "timm":
        teacher = Timm(embed_dim=16, num_heads=4, img_size=8, patch_size=4, num_classes=3, depth=4)
    else:
        sizes = {"image_size": 8, "patch_size": 4, "num_layers": 4, "num_heads": 4, "hidden_dim": 16, "mlp_dim": 32}
        teacher = Torchvision(**sizes, num_classes=3)
    teacher.eval()
    x = torch.randn(2, 3, 8, 8)
    objective = Objective([LOSSES.parse(loss)], student, teacher, [x], classes=3)
    learn(objective, student, teacher, (x,)).backward()
    assert float(student.blocks[1].attn.qkv.weight.grad.abs().sum()) > 0
    objective.close()


def test_refusals() -> None:
    student, teacher = case((8, 12))
    with pytest.raises(ModelError, match="8 relation heads, student width 8, teacher width 12"):
        built(student, teacher, relation_heads=8)
    with pytest.raises(ModelError, match="0 relation heads"):
        built(student, teacher, heads=0)
    with pytest.raises(ModelError, match=r"(?s)no attention layer 2.*1 \(t\)"):
        built(student, teacher, teacher_layer=2)
    with pytest.raises(ModelError, match="teacher has none"):
        LOSSES.parse("minilm").resolve(Layers(["s", *student], []))
    with pytest.raises(ModelError, match="token by token"):
        built({name: x[:, :4] for name, x in student.items()}, teacher)
    with pytest.raises(ModelError, match="projector"):
        built(student, teacher)[0](outputs(student, teacher, None, None))
