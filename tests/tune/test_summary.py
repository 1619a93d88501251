"""The summary: the front, the winner, importances or why there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optuna import Study
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from edgekd.errors import EdgekdError
from edgekd.recipe import LoadedRecipe, load_recipe
from edgekd.report.document.search import Search
from edgekd.tune.section import SearchSection
from edgekd.tune.study import open_study
from edgekd.tune.summary import best_recipe, pareto, summary

SPACE = {"useful": {"low": 0.0, "high": 1.0}, "useless": {"low": 0.0, "high": 1.0}}
SEARCH = SearchSection.model_validate({"space": SPACE})


def finish(study: Study, accuracy: float | None, parameters: int) -> None:
    """One complete trial; without an accuracy, that is the value of `useful`."""
    trial = study.ask()
    drawn = {name: trial.suggest_float(name, 0, 1) for name in SPACE}
    accuracy = drawn["useful"] if accuracy is None else accuracy
    figures = {"values": drawn, "accuracy": accuracy, "parameters": parameters, "size_bytes": 4 * parameters}
    for name, value in {**figures, "seconds": 1.0}.items():
        trial.set_user_attr(name, value)
    study.tell(trial, accuracy)


def test_pareto_against_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = [(int(size), int(score)) for size, score in rng.integers(0, 6, (12, 2))]

        def beaten(one: tuple[int, int], points: list[tuple[int, int]] = points) -> bool:
            return any(other[0] <= one[0] and other[1] >= one[1] and other != one for other in points)

        front = pareto(points)
        assert {points[index] for index in front} == {point for point in points if not beaten(point)}
        assert [points[index] for index in front] == sorted({points[index] for index in front})
        assert all(points.index(points[index]) == index for index in front)


def test_the_winner_is_the_most_accurate_then_the_smallest(tmp_path: Path) -> None:
    study = open_study(tmp_path, "x", SEARCH)
    for accuracy, parameters in ((0.5, 10), (0.9, 30), (0.9, 20), (0.9, 20), (0.4, 5)):
        finish(study, accuracy, parameters)
    killed = study.ask()
    study.tell(killed, state=TrialState.FAIL)
    found = summary(study, SEARCH, 40)
    Search.model_validate(found)
    assert found["best"] == 2 and found["front"] == [4, 0, 2]
    assert len(found["trials"]) == 5
    assert found["importances"] is None and "5 complete trials are too few" in found["importances_reason"]


def test_importances_find_the_key_that_matters(tmp_path: Path) -> None:
    study = open_study(tmp_path, "x", SEARCH)
    study.sampler = RandomSampler(seed=0)  # draws that do not follow each other: by chance, TPE's correlate
    for _ in range(30):
        finish(study, None, 10)
    found = summary(study, SEARCH, 40)["importances"]
    assert found["useful"] > 0.7 and sum(found.values()) == pytest.approx(1)


def test_one_key_has_no_importance(tmp_path: Path) -> None:
    search = SearchSection.model_validate({"space": {"useful": SPACE["useful"]}})
    study = open_study(tmp_path, "x", search)
    for _ in range(9):
        finish(study, 0.5, 10)
    assert "only one key" in summary(study, search, 40)["importances_reason"]


def test_no_complete_trial_says_why(tmp_path: Path) -> None:
    study = open_study(tmp_path, "x", SEARCH)
    trial = study.ask()
    trial.set_user_attr("values", {})
    trial.set_user_attr("reason", "the training diverged")
    study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(EdgekdError, match="the training diverged"):
        summary(study, SEARCH, 40)


def test_the_winners_recipe_is_an_ordinary_one(loaded: LoadedRecipe, tmp_path: Path) -> None:
    trial = {"number": 0, "accuracy": 0.5, "parameters": 7, "state": "complete", "values": {"a.b": 1}}
    found = {"trials": [trial], "best": 0, "validation_samples": 9, "fraction": 0.2}
    bare = loaded.recipe.model_copy(update={"search": None})
    path = tmp_path / "elsewhere" / "best.yaml"
    path.parent.mkdir()
    path.write_text(best_recipe(bare, found, "my.yaml"))
    assert load_recipe(path).recipe == bare
    assert "#     a.b: 1\n" in path.read_text() and "edgekd tune my.yaml" in path.read_text()
