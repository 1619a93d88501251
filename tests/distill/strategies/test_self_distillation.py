"""Self-distillation: the teacher is the student trained alone."""

from __future__ import annotations

import pytest

from .conftest import Run, distill, folders, fresh


def test_the_teacher_is_the_student_trained_alone(run: Run) -> None:
    section = distill(strategy="self_distillation", baselines=["student_alone"])
    school = run(teacher=None, distill=section)
    places = folders(school)
    assert list(places) == ["teacher", "student", "student_alone"]
    assert places["teacher"] == places["student_alone"] != places["student"]
    assert school.models[0].evaluation.info["temperatures"]
    assert not fresh(run(teacher=None, distill=section))


def test_looks_inside_itself(run: Run) -> None:
    hint = {"hint": {"student": "layer1", "teacher": "layer1"}}
    school = run(teacher=None, distill=distill(strategy="self_distillation", losses=["ce", "kl", hint]))
    assert set(school.models[-1].training["epochs"][0]["terms"]) == {"ce", "kl", "hint"}


def test_refusals(run: Run) -> None:
    with pytest.raises(Exception, match="its own teacher"):
        run(distill=distill(strategy="self_distillation"))
    with pytest.raises(Exception, match="no loss looks at the teacher"):
        run(teacher=None, distill=distill(strategy="self_distillation", losses=["ce"]))
    with pytest.raises(Exception, match="quantizes the one network of a teacher section"):
        section = distill(strategy="self_distillation", baselines=["quantized_teacher"])
        run(teacher=None, distill=section, compress={"method": "int8_static"})
