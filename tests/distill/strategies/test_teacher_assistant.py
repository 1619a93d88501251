"""Assistants: who learns from whom, and the warning about steps that shrink too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import RECIPE, Run, distill, folders, fresh, report


def cascade(*depths: int) -> dict[str, Any]:
    assistants = [{"cifar_resnet": {"depth": depth}} for depth in depths]
    return distill(strategy={"teacher_assistant": {"assistants": assistants}})


def test_cascade(run: Run) -> None:
    school = run(distill=cascade(14, 8))
    assert list(folders(school)) == ["teacher", "assistant_1", "assistant_2", "student"]
    assert [model.name for model in school.models] == ["cifar_resnet 14", "cifar_resnet 14", *["cifar_resnet 8"] * 2]
    assert not [text for text in school.warnings if "teacher_assistant" in text]
    assert len(set(folders(school).values())) == 4
    shorter = run(distill=cascade(14))  # its student is what the second assistant was
    assert not fresh(shorter) and folders(shorter)["student"] == folders(school)["assistant_2"]


def test_a_large_step_is_warned_about(run: Run, tmp_path: Path) -> None:
    large = {**RECIPE["teacher"], "model": {"cifar_resnet": {"depth": 32}}}
    school = run(teacher=large, distill=cascade(8))
    (warning,) = [text for text in school.warnings if "teacher_assistant" in text]
    assert "assistant_1 has 6.2 times fewer parameters than teacher" in warning
    numbers, page = report(school, tmp_path)
    assert warning in numbers["warnings"] and "6.2 times fewer" in page


def test_refusals(run: Run) -> None:
    with pytest.raises(Exception, match="needs a teacher section"):
        run(teacher=None, distill=cascade(8))
    hint = {"hint": {"student": "layer1", "teacher": "layer1"}}
    with pytest.raises(Exception, match="hint: compares inner layers of one teacher"):
        run(distill={**cascade(8), "losses": ["kl", hint]})
    with pytest.raises(Exception, match="at least 1 item"):
        run(distill=cascade())
