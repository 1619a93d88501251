"""One lesson: keys of the store, several teachers, and what is trained again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.steps.evaluate import test_logits as answers

from .conftest import RECIPE, TRAIN, Run, distill, folders, fresh, report

SMALL = {"model": {"cifar_resnet": {"depth": 8}}, "train": TRAIN}
SEVERAL: dict[str, Any] = {"teacher": None, "teachers": [RECIPE["teacher"], SMALL]}


def test_trains_once_and_lists_each_network(run: Run) -> None:
    first, again = run(distill=distill(baselines=["student_alone"])), run(distill=distill(baselines=["student_alone"]))
    assert list(folders(first)) == ["teacher", "student", "student_alone"] and not fresh(again)
    assert folders(again) == folders(first) and len(set(folders(first).values())) == 3
    assert all(model.training and model.training["steps_per_epoch"] == 4 for model in first.models)


def test_several_teachers_are_listed_with_their_ensemble(run: Run, tmp_path: Path) -> None:
    school = run(**SEVERAL)
    assert list(folders(school)) == ["teacher_1", "teacher_2", "student"]
    (bound,) = school.bounds
    first, second = (answers(model.evaluation) for model in school.models[:2])
    np.testing.assert_allclose(answers(bound.evaluation), (first + second) / 2, rtol=1e-5, atol=1e-6)
    assert bound.role == "ensemble" and bound.name == "mean of teacher_1, teacher_2"
    parameters = [model.parameters for model in school.models]
    assert bound.evaluation.info["parameters"] == parameters[0] + parameters[1]
    weighted = run(**{**SEVERAL, "teachers": [RECIPE["teacher"], {**SMALL, "weight": 3}]})
    np.testing.assert_allclose(answers(weighted.bounds[0].evaluation), first / 4 + 3 * second / 4, rtol=1e-5, atol=1e-6)
    assert fresh(weighted) == ["student"]
    numbers, page = report(school, tmp_path)
    rows = {row["role"]: row for row in numbers["models"]}
    assert list(rows) == ["teacher_1", "teacher_2", "student", "ensemble"] and numbers["temperatures"] == []
    assert rows["ensemble"]["agreement_with_teacher"] == 1 and "mean of teacher" in page


@pytest.mark.parametrize(
    "changes",
    [
        {"distill": distill(losses=["kl"])},
        {"distill": distill(losses=[{"ce": {"weight": 0.1}}, {"kl": {"weight": {"from": 1, "to": 0.5}}}])},
        {"distill": distill(losses=[{"ce": {"weight": 0.1}}, {"kl": {"temperature": {"from": 4, "to": 1}}}])},
        {"distill": distill(losses=[{"ce": {"weight": 0.1}}, {"kl": {"temperature": {"from": 4, "to": 2}}}])},
        {"distill": distill(losses=[{"ce": {"weight": 0.1}}, {"taid": {"alpha": 0.1}}])},
        {"distill": distill(losses=[{"ce": {"weight": 0.1}}, {"taid": {"alpha": 0.2}}])},
        {"distill": distill(teacher_outputs="recomputed")},
        {"seed": 1},
        {"teacher": SMALL},
        SEVERAL,
        {**SEVERAL, "teachers": SEVERAL["teachers"][::-1]},
        {**SEVERAL, "distill": distill(ensemble="confidence")},
        {**SEVERAL, "teachers": [RECIPE["teacher"], {**SMALL, "weight": 2}]},
    ],
)
def test_every_option_has_a_student_of_its_own(run: Run, changes: dict[str, Any], seen: dict[str, str]) -> None:
    folder = folders(run(**changes))["student"].name
    assert seen.setdefault(folder, str(changes)) == str(changes)


@pytest.fixture(scope="module")
def seen(run: Run) -> dict[str, str]:
    """The students so far, by their key in the store."""
    return {folders(run())["student"].name: "the recipe as it is"}
