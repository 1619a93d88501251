"""Explicit blocks of the teacher."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgekd.errors import ModelError
from edgekd.family import MethodFieldsError
from edgekd.models.init import INITS, initialise

from ..networks import cifar, images, text, tokens


def test_a_list() -> None:
    teacher, student = text(num_hidden_layers=4), text(num_hidden_layers=2)
    initialise(student, teacher, INITS.parse({"subset": {"blocks": [3, 1]}}), tokens(), [])
    layers, sources = student.net.bert.encoder.layer, teacher.net.bert.encoder.layer
    for own, source in ((0, 3), (1, 1)):
        assert torch.equal(layers[own].output.dense.weight, sources[source].output.dense.weight)


def test_a_list_per_stage() -> None:
    teacher, student = cifar(20), cifar(14)
    blocks = {"layer1": [0, 2], "layer2": [0, 1], "layer3": [0, 2]}
    initialise(student, teacher, INITS.parse({"subset": {"blocks": blocks}}), images(), [])
    for stage, numbers in blocks.items():
        for own, source in enumerate(numbers):
            found = student.get_submodule(f"{stage}.{own}").conv2.weight
            assert torch.equal(found, teacher.get_submodule(f"{stage}.{source}").conv2.weight)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([0, 4], r"\[0, 4\] for the 2 student blocks of 'net.bert.encoder.layer'.*\(2 blocks, 4 in the teacher\)"),
        ([0, 1, 2], r"\[0, 1, 2\] for the 2 student blocks"),
        ({"net.bert.encoder.layers": [0, 1]}, "no sequence of blocks.*did you mean 'net.bert.encoder.layer'"),
    ],
)
def test_blocks_that_do_not_exist(blocks: Any, expected: str) -> None:
    with pytest.raises(ModelError, match=f"(?s){expected}"):
        init = INITS.parse({"subset": {"blocks": blocks}})
        initialise(text(num_hidden_layers=2), text(num_hidden_layers=4), init, tokens(), [])


@pytest.mark.parametrize("blocks", [[], [-1, 0], "all", {"layer1": []}])
def test_no_list_of_blocks(blocks: Any) -> None:
    with pytest.raises(MethodFieldsError):
        INITS.parse({"subset": {"blocks": blocks}})
