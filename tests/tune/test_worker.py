"""A worker: stops poor trials, ends with its search, and records what fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from optuna import Study, Trial, TrialPruned

from edgekd.errors import EdgekdError, RecipeError
from edgekd.progress import QUIET
from edgekd.recipe import LoadedRecipe, load_recipe
from edgekd.tune import search
from edgekd.tune.section import SearchSection
from edgekd.tune.study import open_study
from edgekd.tune.worker import Job, TrialProgress

from .conftest import write

SEARCH = SearchSection.model_validate({"space": {"a": {"low": 0.0, "high": 1.0}}})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Five complete trials, 80 % right at every epoch."""
    found = open_study(tmp_path, "x", SEARCH)
    for _ in range(5):
        trial = found.ask()
        for epoch in (1, 2, 3):
            trial.report(0.8, epoch)
        found.tell(trial, 0.8)
    return found


def row(epoch: int, accuracy: float | None) -> dict[str, Any]:
    return {"epoch": epoch, "validation_accuracy": accuracy}


def test_a_trial_below_the_median_is_stopped_after_its_first_and_before_its_last_epoch(study: Study) -> None:
    own = TrialProgress(True, study.ask(), last=4)
    own.epoch(row(1, 0.1))
    own.epoch(row(4, 0.1))
    with pytest.raises(TrialPruned):
        own.epoch(row(2, 0.1))
    better: Trial = study.ask()
    TrialProgress(True, better, last=4).epoch(row(2, 0.9))
    TrialProgress(True, study.ask(), last=4).epoch(row(2, None))
    TrialProgress(True, study.ask(), last=0).epoch(row(2, 0.1))


def test_a_worker_ends_when_its_parent_is_gone() -> None:
    assert list(TrialProgress(True, None, os.getppid()).track([1, 2], 2, "")) == [1, 2]
    with pytest.raises(SystemExit):
        list(TrialProgress(True, None, os.getppid() + 1).track([1, 2], 2, ""))


def test_values_that_are_not_valid_together_are_refused(loaded: LoadedRecipe, tmp_path: Path) -> None:
    job = Job(loaded, tmp_path, tmp_path)
    recipe = job.recipe_with({"distill.losses.kl.temperature": 2.5})
    assert recipe.search is None and recipe.distill is not None
    with pytest.raises(RecipeError, match=r"distill\.losses\[1\]\.kl\.temperature"):
        job.recipe_with({"distill.losses.kl.temperature": 0})
    with pytest.raises(RecipeError, match="no 'hint'"):
        job.recipe_with({"distill.losses.hint.weight": 1})


def test_a_trial_that_diverges_is_recorded_and_the_search_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_recipe(write(tmp_path, trials=1, space={"distill.train.optimizer.sgd.lr": {"choices": [1e30]}}))
    job = Job(loaded, tmp_path / "search", tmp_path / "store", quiet=True)
    with pytest.raises(EdgekdError, match=r"(?s)no trial of the search was completed.*diverged"):
        search(job, QUIET)
    assert "trial 1 failed: the training diverged" in capsys.readouterr().err
