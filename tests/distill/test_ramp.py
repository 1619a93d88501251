"""Ramps: their formulas, what they refuse, and the weights and temperatures that follow them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edgekd.distill.loss import LOSSES, Outputs
from edgekd.distill.objective import Objective
from edgekd.distill.ramp import Ramp, mean_of, value_at
from edgekd.distill.section import DistillSection


def ramp(**fields: Any) -> Ramp:
    return Ramp.model_validate({"from": 0.9, "to": 0.1, **fields})


@pytest.mark.parametrize(
    ("fields", "progress", "expected"),
    [
        ({}, 0.0, 0.9),
        ({}, 0.25, 0.7),
        ({"until": 0.5}, 0.25, 0.5),
        ({"until": 0.5}, 0.75, 0.1),
        ({"shape": "cosine"}, 0.0, 0.9),
        ({"shape": "cosine"}, 0.25, 0.1 + 0.8 * (1 + math.cos(math.pi / 4)) / 2),
        ({"shape": "cosine", "until": 0.5}, 0.5, 0.1),
        ({"shape": "step", "until": 0.5}, 0.499, 0.9),
        ({"shape": "step", "until": 0.5}, 0.5, 0.1),
    ],
)
def test_values(fields: dict[str, Any], progress: float, expected: float) -> None:
    assert ramp(**fields).at(progress) == pytest.approx(expected, rel=1e-12)
    assert value_at(ramp(**fields), progress) == ramp(**fields).at(progress)


@pytest.mark.parametrize(
    "fields", [{}, {"until": 0.3}, {"shape": "cosine", "until": 0.7}, {"shape": "step", "until": 0.2}]
)
def test_the_mean_is_that_of_many_values(fields: dict[str, Any]) -> None:
    values = [ramp(**fields).at(p) for p in (np.arange(20000) + 0.5) / 20000]
    assert mean_of(ramp(**fields)) == pytest.approx(np.mean(values), abs=1e-4)
    assert mean_of(0.25) == 0.25 and value_at(0.25, 0.7) == 0.25


def test_survives_json_and_a_constant_dumps_as_before() -> None:
    loss = LOSSES.parse(
        {"kl": {"weight": {"from": 0.9, "to": 0}, "temperature": {"from": 4, "to": 1, "shape": "cosine"}}}
    )
    dumped = loss.model_dump(mode="json")
    assert LOSSES.parse(dumped) == loss and dumped["kl"]["weight"]["from"] == 0.9
    assert LOSSES.parse({"kl": {"weight": 1}}).model_dump(mode="json") == {"kl": {"weight": 1.0, "temperature": 4.0}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": {"from": 4, "to": 0}}, "greater than 0"),
        ({"temperature": 0}, "greater than 0"),
        ({"weight": {"from": -0.1, "to": 1}}, "greater than or equal to 0"),
        ({"weight": {"from": 0.1}}, "Field required"),
        ({"weight": {"from": 0.1, "to": 1, "shape": "step"}}, "never comes"),
        ({"weight": {"from": 0.1, "to": 1, "until": 0}}, "greater than 0"),
        ({"weight": {"from": 0.1, "to": 1, "shape": "square"}}, "'linear', 'cosine' or 'step'"),
        ({"weight": {"form": 0.1, "to": 1}}, "form"),
    ],
)
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LOSSES.parse({"kl": fields})


def test_the_objective_weighs_by_progress_and_records_unweighted_terms() -> None:
    net = nn.Linear(3, 3)
    losses = [LOSSES.parse({"ce": {"weight": 0.5}}), LOSSES.parse({"kl": {"weight": {"from": 1, "to": 0}}})]
    objective = Objective(losses, net, None, [torch.zeros(2, 3)], classes=3)
    logits, soft, labels = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    seen = []
    for progress in (0.0, 0.25, 0.75):
        total, terms = objective(logits, labels, soft, progress=progress)
        assert float(total) == pytest.approx(0.5 * float(terms[0]) + (1 - progress) * float(terms[1]), rel=1e-6)
        seen.append(terms)
    assert torch.equal(seen[0], seen[2])
    objective.close()


def test_the_temperature_follows_its_ramp_with_the_bits_of_the_constant() -> None:
    student, teacher, labels = torch.randn(4, 3), torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)
    moving = LOSSES.parse({"kl": {"temperature": {"from": 4, "to": 2}}})
    fixed = LOSSES.parse({"kl": {"temperature": 3}})
    assert torch.equal(
        moving(Outputs(student, labels, teacher, progress=0.5)), fixed(Outputs(student, labels, teacher))
    )
    assert not torch.equal(moving(Outputs(student, labels, teacher)), fixed(Outputs(student, labels, teacher)))


def test_the_sections_sums_see_the_mean() -> None:
    gone = {"weight": {"from": 0, "to": 0}}
    with pytest.raises(ValidationError, match="nothing to learn"):
        DistillSection.model_validate({"losses": [{"ce": gone}]})
    brief = {"weight": {"from": 1, "to": 0, "until": 0.01}}
    loud = {"weight": {"from": 1, "to": 0}}
    for form, quiet in ((brief, True), (loud, False)):
        section = DistillSection.model_validate({"losses": ["ce", {"kl": form}], "baselines": ["student_alone"]})
        assert any("hard labels" in text for text in section.warnings()) is quiet
