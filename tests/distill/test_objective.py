"""The total loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgekd.distill.loss import LOSSES, Loss, Outputs
from edgekd.distill.objective import Objective, term_names
from edgekd.errors import ModelError, RecipeError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))


EXAMPLE = torch.randn(2, 3, 8, 8)
HINT = {"hint": {"student": "0", "teacher": "1"}}


def test_weighted_sum_and_the_single_terms() -> None:
    student, teacher = network(), network().eval()
    losses = [LOSSES.parse({"ce": {"weight": 0.25}}), LOSSES.parse({"kl": {"weight": 2}}), LOSSES.parse(HINT)]
    objective = Objective(losses, student, teacher, [EXAMPLE], classes=3)
    x, labels = torch.randn(5, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    soft = teacher(x)
    total, terms = objective(student(x), labels, soft)
    assert float(total.detach()) == pytest.approx(float(terms @ torch.tensor([0.25, 2, 1])), rel=1e-6)
    assert list(objective.projectors) == ["hint"] and not terms.requires_grad
    objective.close()


def test_the_probe_moves_no_batch_statistics() -> None:
    student = network().train()
    before = student[1].running_mean.clone()
    Objective([LOSSES.parse(HINT)], student, network().eval(), [EXAMPLE], classes=3).close()
    assert torch.equal(student[1].running_mean, before) and student.training


def test_features_arrive_in_float32_unless_a_loss_takes_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = network(), network().eval()
    losses = [LOSSES.parse(HINT), LOSSES.parse({"attention": {"pairs": {"0": "1"}}})]
    assert [loss.takes_half for loss in losses] == [True, False]
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    for loss in losses:
        called = type(loss).__call__

        def noted(self: Loss, outputs: Outputs, called: Any = called) -> torch.Tensor:
            seen.append((outputs.student_taps["0"].dtype, outputs.teacher_taps["1"].dtype))
            return called(self, outputs)

        monkeypatch.setattr(type(loss), "__call__", noted)
    objective = Objective(losses, student, teacher, [EXAMPLE], classes=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        soft, hard = teacher(EXAMPLE), student(EXAMPLE)
    total, _ = objective(hard, torch.tensor([0, 1]), soft)
    objective.close()
    assert seen == [(torch.bfloat16, torch.bfloat16), (torch.float32, torch.float32)] and total.dtype == torch.float32


def test_terms_of_the_same_kind_get_distinct_names() -> None:
    losses = [LOSSES.parse(form) for form in (HINT, "ce", HINT, HINT)]
    assert term_names(losses) == ["hint", "ce", "hint_2", "hint_3"]


def test_refusals() -> None:
    with pytest.raises(RecipeError, match="nothing to learn"):
        Objective([LOSSES.parse({"ce": {"weight": 0}})], network(), None, [EXAMPLE], classes=3)
    with pytest.raises(ModelError, match="look inside the teacher"):
        Objective([LOSSES.parse(HINT)], network(), None, [EXAMPLE], classes=3)

    class Unused(nn.Sequential):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self[3](self[2](self[0](input)))

    teacher = Unused(*network())
    with pytest.raises(ModelError, match="not used in the forward pass"):
        Objective([LOSSES.parse(HINT)], network(), teacher, [EXAMPLE], classes=3)
    student = network()
    with pytest.raises(ModelError, match="no layer 'nine'"):
        Objective([LOSSES.parse({"hint": {"student": "0", "teacher": "nine"}})], student, teacher, [EXAMPLE], classes=3)
    assert not any(module._forward_hooks for module in student.modules())


def test_a_layer_that_is_not_there_is_told_with_its_loss() -> None:
    losses = [LOSSES.parse(HINT), LOSSES.parse({"hint": {"student": "zero", "teacher": "1"}})]
    with pytest.raises(ModelError, match=r"(?s)student has no layer 'zero', which the loss 'hint_2' names.*0, 1, 2, 3"):
        Objective(losses, network(), network(), [EXAMPLE], classes=3)
    rule = LOSSES.parse({"hint": {"pairs": {"last": {"student": "stage"}}}})
    with pytest.raises(ModelError, match=r"^distill\.losses\.hint_2: the student has no numbered layers 'stage'"):
        Objective([LOSSES.parse(HINT), rule], network(), network(), [EXAMPLE], classes=3)


def test_a_network_that_returns_a_tuple_is_refused() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    with pytest.raises(ModelError, match=r"(?s)one tensor of logits.*received: tuple"):
        Objective([LOSSES.parse("ce")], Pair(), None, [torch.zeros(2, 3)], classes=3)
