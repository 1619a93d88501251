"""Student initialisation: which tensor comes from where, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekd.errors import ModelError
from edgekd.models import MODELS
from edgekd.models.init import INITS, corresponding, initialise

from .networks import cifar, images, lively, same, text, tokens, vit


def test_the_same_shape_answers_as_the_teacher() -> None:
    for init in ("alternate", {"subset": {"blocks": [0, 1]}}, {"width": {"importance": "magnitude"}}):
        teacher, student = text(), lively(lambda: text(num_attention_heads=4)).apply(reset)
        assert not same(student, teacher)
        facts = initialise(student, teacher, INITS.parse(init), tokens(), [])
        assert facts == {"copied": len(teacher.state_dict()), "fresh": []}
        assert same(student, teacher)
        assert torch.equal(student(*tokens()), teacher(*tokens()))


def reset(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            parameter.add_(1.0)


def test_what_stays_fresh_is_named_and_untouched() -> None:
    teacher, student = cifar(14), lively(lambda: MODELS.parse({"cifar_resnet": {"depth": 8}}).build(7, 3))
    head = student.linear.weight.clone()
    facts = initialise(student, teacher, INITS.parse("alternate"), images(), [])
    assert facts["fresh"] == ["linear.weight", "linear.bias"]
    assert facts["copied"] == len(student.state_dict()) - 2
    assert torch.equal(student.linear.weight, head)
    assert torch.equal(student.layer1[0].conv1.weight, teacher.layer1[0].conv1.weight)


def test_numbers_of_single_layers_are_names() -> None:
    """`features.3` of a VGG is a layer, `blocks.0.1` a block inside of a stage."""
    init = INITS.parse("alternate")
    vgg = [f"features.{index}.weight" for index in (0, 3, 6, 8)]
    assert corresponding(init, vgg[:3], vgg) == {name: name for name in vgg[:3]}
    stages = [f"blocks.{stage}.{block}.conv.weight" for stage in (0, 1) for block in range(4)]
    half = [f"blocks.{stage}.{block}.conv.weight" for stage in (0, 1) for block in range(2)]
    assert [corresponding(init, half, stages)[name] for name in half] == [stages[i] for i in (0, 2, 4, 6)]
    fewer = stages[:4]
    assert corresponding(init, fewer, stages) == {name: name for name in fewer}


def test_a_block_beside_single_layers() -> None:
    """torchvision's inverted residuals number blocks and layers in one sequence: `conv.0.0`, `conv.1`."""
    names = ["features.0.conv.0.0.weight", "features.0.conv.1.weight", "features.1.conv.0.0.weight"]
    assert corresponding(INITS.parse("alternate"), names, names) == {name: name for name in names}


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (cifar, vit, "no weight of the teacher fits the student"),
        (lambda: cifar(20), lambda: cifar(14), r"more blocks than the teacher.*layer1 \(3 blocks, the teacher has 2\)"),
        (lambda: text(hidden_size=12), lambda: text(intermediate_size=20), "no weight of the teacher fits"),
    ],
)
def test_refusals(student, teacher, expected: str) -> None:
    model = student()
    with pytest.raises(ModelError, match=f"(?s){expected}"):
        initialise(model, teacher(), INITS.parse("alternate"), images(), [])
    assert same(model, student()), "a refusal changes nothing"
