"""The `distill:` block: forms, combinations, warnings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edgekd.distill import DistillSection

KD = [{"ce": {"weight": 0.1}}, {"kl": {"weight": 0.9}}]
HINT = {"hint": {"student": "layer1", "teacher": "layer1"}}
AUGMENTED = {"epochs": 10, "augment": {"crop_padding": 4, "flip": True}}


def section(**fields: Any) -> DistillSection:
    return DistillSection.model_validate({"losses": KD, **fields})


@pytest.mark.parametrize(
    ("fields", "crops"),
    [
        ({}, 1),
        ({"train": AUGMENTED}, 4),
        ({"train": {**AUGMENTED, "epochs": 3}}, 3),
        ({"train": AUGMENTED, "teacher_outputs": {"crops": 7}}, 7),
        ({"teacher_outputs": "recomputed"}, None),
        ({"losses": ["ce"]}, None),
        ({"losses": ["ce", HINT]}, None),
        ({"losses": ["ce", "rkd"]}, None),
        ({"losses": ["ce", "similarity"]}, None),
        ({"losses": ["ce", {"rkd": {"student": "outputs", "teacher": "outputs"}}]}, 1),
        ({"losses": ["ce", {"rkd": {"student": "layer3", "teacher": "outputs"}}]}, 1),
        ({"losses": ["ce", {"similarity": {"pairs": {"outputs": "outputs"}}}]}, 1),
        ({"losses": ["ce", {"rkd": {"student": "layer3", "teacher": "layer3"}}]}, None),
    ],
)
def test_what_is_cached(fields: dict[str, Any], crops: int | None) -> None:
    assert section(**fields).cached_crops() == crops


def test_survives_json() -> None:
    first = section(train=AUGMENTED, baselines=["student_alone"], teacher_outputs={"crops": 2})
    again = DistillSection.model_validate(first.model_dump(mode="json"))
    assert again == first and [loss.method_name for loss in again.losses] == ["ce", "kl"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"losses": []}, "at least 1"),
        ({"losses": [{"ce": {"weight": 0}}]}, "nothing to learn"),
        ({"losses": ["ec"]}, "did you mean 'ce'"),
        ({"losses": [{"kl": {"temprature": 4}}]}, "temprature"),
        ({"losses": [{"kl": {"temperature": 0}}]}, "greater than 0"),
        ({"losses": ["kl", HINT], "teacher_outputs": {"crops": 2}}, "inner layers"),
        ({"losses": ["ce"], "teacher_outputs": {"crops": 2}}, "no loss looks at the teacher"),
        ({"teacher_outputs": {"crops": 2}}, "all crops are the same"),
        ({"teacher_outputs": "cache"}, "'cached', 'recomputed'"),
        ({"baselines": ["student_alone", "student_alone"]}, "twice"),
        ({"train": {"epochs": 0}}, "greater than or equal to 1"),
        ({"train": {"learning_rate": 0.1}}, "learning_rate"),
    ],
)
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        section(**fields)


def test_warnings() -> None:
    assert section(baselines=["student_alone"]).warnings() == []
    assert any(
        "hard labels" in text for text in section(losses=[{"ce": {"weight": 1}}, {"kl": {"weight": 0.01}}]).warnings()
    )
    assert any("student_alone" in text for text in section().warnings())
    assert any("same result" in text for text in section(teacher_outputs="recomputed").warnings())
