"""DistilBERT's initialisation, block by block."""

from __future__ import annotations

import pytest
import torch

from edgekd.models.init import INITS, initialise

from ..networks import cifar, images, text, tokens, vit


@pytest.mark.parametrize(
    ("count", "of", "expected"),
    [
        (6, 12, [0, 2, 4, 6, 8, 10]),
        (3, 6, [0, 2, 4]),
        (3, 9, [0, 3, 6]),
        (2, 6, [0, 3]),
        (1, 6, [0]),
        (4, 4, [0, 1, 2, 3]),
    ],
)
def test_evenly_spaced_and_the_first_is_the_first(count: int, of: int, expected: list[int]) -> None:
    assert list(INITS.parse("alternate").sources("encoder.layer", count, of)) == expected


def test_every_second_layer_of_bert() -> None:
    teacher, student = text(num_hidden_layers=4), text(num_hidden_layers=2)
    assert initialise(student, teacher, INITS.parse("alternate"), tokens(), [])["fresh"] == []
    own, given = student.state_dict(), teacher.state_dict()
    for name, value in own.items():
        source = name.replace("layer.1.", "layer.2.")
        assert torch.equal(value, given[source]), name


def test_every_stage_of_a_resnet() -> None:
    teacher, student = cifar(20), cifar(8)
    initialise(student, teacher, INITS.parse("alternate"), images(), [])
    for stage in ("layer1", "layer2", "layer3"):
        found, source = student.get_submodule(f"{stage}.0"), teacher.get_submodule(f"{stage}.0")
        assert torch.equal(found.conv1.weight, source.conv1.weight)
        assert torch.equal(found.bn2.running_var, source.bn2.running_var)


def test_blocks_of_a_vision_transformer() -> None:
    teacher, student = vit(depth=4), vit(depth=2)
    initialise(student, teacher, INITS.parse("alternate"), images(16), [])
    assert torch.equal(student.blocks[1].attn.qkv.weight, teacher.blocks[2].attn.qkv.weight)
    assert torch.equal(student.pos_embed, teacher.pos_embed)
