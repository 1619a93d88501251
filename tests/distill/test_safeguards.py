"""Each warning is given with its figures where it is due, and not where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.distill.loss import LOSSES, Loss
from edgekd.distill.safeguards import Teaching, early_warnings, late_warnings
from edgekd.distill.temperature import entropy_share

LABELS = np.arange(100) % 10


def teaching(*, margin: float = 8.0, right: float = 1.0, parameters: int = 900, student: int = 100) -> Teaching:
    """A teacher whose first choice leads by `margin`, over noise, and is right on the share `right`."""
    logits = np.random.default_rng(0).normal(0, 1, (100, 10))
    chosen = np.where(np.arange(100) < 100 * right, LABELS, (LABELS + 1) % 10)
    logits[np.arange(100), chosen] = logits.max(axis=1) + margin
    return Teaching(logits, LABELS, parameters, student)


def losses(*forms: Any) -> list[Loss]:
    return [LOSSES.parse(form) for form in forms]


BOTH = losses({"ce": {"weight": 0.5}}, {"kl": {"temperature": 4, "weight": 0.5}})


def test_nothing_to_warn_of() -> None:
    assert early_warnings(teaching(), BOTH) == []
    assert late_warnings(0.9, {"the distilled student": 0.89}, 100) == []


def test_capacity_gap() -> None:
    (found,) = early_warnings(teaching(parameters=1100), BOTH)
    assert "11.0 times" in found and "1,100 and 100" in found and "Mirzadeh" in found
    assert early_warnings(teaching(parameters=1000), BOTH) == []


@pytest.mark.parametrize(("temperature", "said"), [(60, "near uniform"), (0.5, "near one-hot")])
def test_temperature(temperature: float, said: str) -> None:
    known = teaching(margin=6.0)
    share = entropy_share(known.logits, temperature)
    (found,) = early_warnings(known, losses("ce", {"kl": {"temperature": temperature}}))
    assert said in found and f"temperature {temperature:g}" in found and f"{100 * share:.1f}" in found
    assert early_warnings(known, losses("ce", {"kl": {"temperature": temperature, "weight": 0}})) == []


def test_each_loss_is_judged_by_its_own_temperature() -> None:
    found = early_warnings(teaching(), losses("ce", {"kl": {"temperature": 100}}, "kl", {"kl": {"temperature": 0.1}}))
    assert ["uniform" in found[0], "one-hot" in found[1]] == [True, True] and len(found) == 2


def test_a_loss_that_does_not_soften_the_logits_is_not_judged() -> None:
    assert early_warnings(teaching(), losses("ce", {"logit_standardization": {"temperature": 100}})) == []


def test_deit_has_a_temperature_in_its_soft_variant_alone() -> None:
    (found,) = early_warnings(teaching(), losses({"deit": {"variant": "soft", "temperature": 100}}))
    assert "deit: at temperature 100" in found
    assert early_warnings(teaching(), losses({"deit": {"variant": "hard", "temperature": 100}})) == []
    assert early_warnings(teaching(margin=60), losses("deit")) == []


def test_entropy_share_at_its_ends() -> None:
    logits = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]])
    assert entropy_share(logits, 1e6) == pytest.approx(1)
    assert entropy_share(logits, 1e-3) == pytest.approx(0)
    p = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    assert entropy_share(logits, 2) == pytest.approx(float(-(p * np.log(p)).sum(axis=1).mean() / np.log(3)))


def test_no_hard_labels_and_a_teacher_that_is_wrong_often() -> None:
    (found,) = early_warnings(teaching(right=0.8), losses("kl", {"ce": {"weight": 0}}))
    assert "20.0 % of 100 validation samples" in found and "add 'ce'" in found
    assert early_warnings(teaching(right=0.8), BOTH) == []
    assert early_warnings(teaching(right=0.95), losses("kl")) == []


def test_a_loss_that_holds_the_labels_is_a_corrective() -> None:
    assert early_warnings(teaching(right=0.8), losses({"deit": {"variant": "soft"}})) == []


def test_the_temperature_of_a_contrast_is_no_temperature_of_soft_labels() -> None:
    assert early_warnings(teaching(), losses("ce", "crd")) == []


def test_a_teacher_no_better_than_its_students() -> None:
    found = late_warnings(0.8, {"the distilled student": 0.8, "the student trained alone": 0.79}, 400)
    assert len(found) == 1
    assert "no better than the distilled student: 80.00 % against 80.00 % of 400" in found[0]
