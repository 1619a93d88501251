"""Layer maps: the blocks of a network, the rules, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError

from edgekd.distill.layer_maps import LayerMap, blocks, explicit, pairs
from edgekd.distill.loss import Layers
from edgekd.errors import ModelError


class Field(BaseModel):
    pairs: LayerMap


def parsed(form: object) -> Any:
    return Field.model_validate({"pairs": form}).pairs


def bert(layers: int, prefix: str = "bert.") -> list[str]:
    names = [prefix + "embeddings", prefix + "encoder", prefix + "encoder.layer"]
    for i in range(layers):
        layer = f"{prefix}encoder.layer.{i}"
        names += [layer, f"{layer}.attention", f"{layer}.attention.self", f"{layer}.output", f"{layer}.output.dense"]
    return [*names, "classifier"]


def resnet(depth: int) -> list[str]:
    names = ["conv1", "bn1"]
    for stage in (1, 2, 3):
        names.append(f"layer{stage}")
        for block in range(depth):
            names += [f"layer{stage}.{block}", f"layer{stage}.{block}.conv1", f"layer{stage}.{block}.conv2"]
    return [*names, "fc"]


def encoder(layers: int) -> list[str]:
    return [f"bert.encoder.layer.{i}" for i in range(layers)]


def test_finds_the_blocks_of_real_networks() -> None:
    import timm
    import torchvision

    from edgekd.models.modules import named_modules

    def found(model: Any) -> list[str]:
        return blocks([name for name, _ in named_modules(model) if name], "student")

    with torch.device("meta"):
        assert found(torchvision.models.resnet18()) == ["layer1", "layer2", "layer3", "layer4"]
        assert found(timm.create_model("vit_tiny_patch16_224")) == [f"blocks.{i}" for i in range(12)]
        assert found(timm.create_model("efficientnet_b0")) == [f"blocks.{i}" for i in range(7)]
        with pytest.raises(ModelError, match="student has no numbered blocks"):
            found(torchvision.models.vgg11(init_weights=False))


def test_finds_blocks_by_name() -> None:
    assert blocks(bert(6), "student") == encoder(6)
    assert blocks(bert(1), "student") == encoder(1)
    assert blocks(resnet(3), "student") == ["layer1", "layer2", "layer3"]
    assert blocks(resnet(9), "student", "layer3") == [f"layer3.{i}" for i in range(9)]
    assert blocks(bert(3), "student", "encoder.layer") == encoder(3)
    assert blocks(["features", *(f"features.{i}" for i in range(4))], "student", "features")[-1] == "features.3"


@pytest.mark.parametrize(("m", "n"), [(3, 6), (4, 12), (4, 6), (2, 2), (1, 5), (6, 3)])
def test_rules_equal_their_formulas(m: int, n: int) -> None:
    layers = Layers(bert(m), bert(n))
    student, teacher = encoder(m), encoder(n)
    spread = {student[i - 1]: teacher[math.ceil(i * n / m) - 1] for i in range(1, m + 1)}
    assert dict(pairs(parsed("uniform"), layers)) == spread
    common = min(m, n)
    assert pairs(parsed("last"), layers) == [(student[m - k], teacher[n - k]) for k in range(common, 0, -1)]
    if m <= n:
        assert pairs(parsed("skip"), layers) == [(student[i - 1], teacher[i * (n // m) - 1]) for i in range(1, m + 1)]


def test_the_papers_own_examples() -> None:
    """TinyBERT's 4 layers of 12, and PKD's 6 of 12 (which compares all but the last layer of the student)."""
    number = [int(teacher.rpartition(".")[2]) + 1 for _, teacher in pairs(parsed("uniform"), Layers(bert(4), bert(12)))]
    assert number == [3, 6, 9, 12]
    skip = pairs(parsed("skip"), Layers(bert(6), bert(12)))
    assert [int(teacher.rpartition(".")[2]) + 1 for _, teacher in skip[:-1]] == [2, 4, 6, 8, 10]


def test_options_and_explicit_pairs() -> None:
    layers = Layers(resnet(3), resnet(9))
    form = {"skip": {"every": 2, "student": "layer3", "teacher": "layer3"}}
    assert pairs(parsed(form), layers) == [("layer3.0", "layer3.1"), ("layer3.1", "layer3.3"), ("layer3.2", "layer3.5")]
    assert pairs(parsed({"b": "x", "a": "y"}), layers) == [("b", "x"), ("a", "y")]
    assert explicit(parsed({"uniform": "stage1"})) == {"uniform": "stage1"}  # a layer that bears a rule's name
    with pytest.raises(ModelError, match="resolve"):
        explicit(parsed("last"))


@pytest.mark.parametrize("form", ["uniform", {"skip": {"every": 3, "teacher": "h"}}, {"a": "b"}, {"last": None}])
def test_survives_a_round_trip(form: object) -> None:
    field = Field.model_validate({"pairs": form})
    written = field.model_dump(mode="json")
    assert Field.model_validate(written) == field


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("unifrm", "did you mean 'uniform'"),
        ({}, "give uniform, last, skip"),
        ({"layer1": 3}, "give uniform, last, skip"),
        ({"uniform": {"every": 2}}, "belongs to 'skip'"),
        ({"skip": {"evry": 2}}, "evry: Extra inputs"),
        ({"skip": {"every": 0}}, "every: Input should be greater"),
    ],
)
def test_refuses_what_is_no_map(form: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        parsed(form)


def test_refuses_blocks_that_are_not_there() -> None:
    layers = Layers(resnet(3), bert(2))
    with pytest.raises(
        ModelError, match=r"(?s)no numbered layers 'layer9'; did you mean 'layer.*layer, layer1, layer2"
    ):
        pairs(parsed({"uniform": {"student": "layer9"}}), layers)
    with pytest.raises(ModelError, match=r"(?s)several numbered layers 'conv'.*layer1\.0\.conv, layer1\.1\.conv"):
        blocks([f"layer1.{i}.conv{j}" for i in (0, 1) for j in (1, 2)], "student", "conv")
    with pytest.raises(ModelError, match="passes the teacher's last block"):
        pairs(parsed("skip"), layers)
    with pytest.raises(ModelError, match="needs a teacher"):
        pairs(parsed("last"), Layers(resnet(3), []))
