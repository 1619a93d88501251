"""Generations: each from the one before, the best shipped, all of them an upper bound, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.progress import Progress
from edgekd.steps.evaluate import test_logits as answers

from .conftest import RECIPE, Run, distill, folders, fresh, report


def chain(generations: int) -> dict[str, Any]:
    return distill(strategy={"born_again": {"generations": generations}})


def test_the_report_lists_every_generation_with_its_steps(run: Run, tmp_path: Path) -> None:
    numbers, page = report(run(distill=chain(3)), tmp_path)
    rows = {row["role"]: row for row in numbers["models"]}
    shipped = rows["student"]["name"]
    assert set(rows) > {"teacher", "student", "generations"} and len(rows) == 5
    assert all(row["steps"] == (None if role == "generations" else 4) for role, row in rows.items())
    assert all(row["accuracy"]["samples"] == 60 for row in rows.values())
    assert shipped in page and "mean of generation" in page and "generation 1 (cifar_resnet 8)" in page


def test_chain(run: Run) -> None:
    school = run(distill=chain(3))
    assert [model.role for model in school.models].count("student") == 1 and len(school.models) == 4
    pupils = school.models[1:]
    best = max(range(3), key=lambda index: (pupils[index].validation_accuracy, index))
    assert pupils[best].role == "student" and pupils[best].note == f"generation {best + 1} of 3"
    assert all(model.role == f"generation_{index + 1}" for index, model in enumerate(pupils) if index != best)
    (bound,) = school.bounds
    mean = np.mean([answers(model.evaluation) for model in pupils], axis=0)
    np.testing.assert_allclose(answers(bound.evaluation), mean, rtol=1e-4, atol=1e-5)
    assert bound.role == "generations"

    assert not fresh(run(distill=chain(3)))
    assert pupils[0].entry.folder == folders(run())["student"]  # the first generation is the plain student
    longer = run(distill=chain(4))
    assert [model.entry.fresh for model in longer.models] == [False, False, False, False, True]


def test_a_killed_chain_goes_on_and_ends_in_the_same_bits(run: Run) -> None:
    class Interrupting(Progress):
        trainings = 0

        def note(self, message: str) -> None:
            self.trainings += message.startswith("generation")
            if self.trainings == 2:
                raise KeyboardInterrupt

    whole = run(distill=chain(2))
    with pytest.raises(KeyboardInterrupt):
        run("killed", Interrupting(quiet=True), distill=chain(2))
    resumed = run("killed", distill=chain(2))
    assert [model.entry.fresh for model in resumed.models] == [False, False, True]
    for first, second in zip(whole.models, resumed.models, strict=True):
        assert (first.role, first.entry.digest) == (second.role, second.entry.digest)


def test_refusals(run: Run) -> None:
    with pytest.raises(Exception, match="first generation needs a teacher"):
        run(teacher=None, distill=chain(2))
    hint = {"hint": {"student": "layer1", "teacher": "layer1"}}
    with pytest.raises(Exception, match="hint: compares inner layers of one teacher"):
        run(distill={**chain(2), "losses": ["kl", hint]})
    with pytest.raises(Exception, match="greater than or equal to 2"):
        run(distill=chain(1))
    same = {**RECIPE["teacher"], "model": RECIPE["student"]["model"]}
    school = run(teacher=same, distill={**chain(2), "losses": ["kl", hint]})
    assert len(school.models) == 3
