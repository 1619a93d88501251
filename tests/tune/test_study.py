"""The journal: seeded draws, exact limits, and what a killed worker leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna import Study
from optuna.trial import TrialState

from edgekd.recipe import LoadedRecipe
from edgekd.tune.section import SearchSection
from edgekd.tune.study import JOURNAL, counted, draw, next_trial, open_study, own_values, recover, repair

SPACE: dict[str, Any] = {
    "a": {"low": 0.01, "high": 1, "log": True},
    "b": {"low": 1, "high": 9},
    "c": {"choices": [[0, 2], [0, 1, 2]]},
}
SEARCH = SearchSection.model_validate({"space": SPACE})


def do(study: Study, folder: Path, limit: int) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []
    while trial := next_trial(study, SEARCH, folder / "ask.lock", limit=limit, seed=5):
        drawn.append(draw(trial, SEARCH, {"b"}))
        study.tell(trial, drawn[-1]["a"])
    return drawn


def test_interrupted_and_continued_is_the_same_search(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    whole = do(open_study(tmp_path / "one", "x", SEARCH), tmp_path / "one", 14)
    first = do(open_study(tmp_path / "two", "x", SEARCH), tmp_path / "two", 6)
    assert [*first, *do(open_study(tmp_path / "two", "x", SEARCH), tmp_path / "two", 14)] == whole
    assert len(whole) == 14 and len({str(values) for values in whole}) == 14
    assert do(open_study(tmp_path / "two", "x", SEARCH), tmp_path / "two", 14) == []
    for values in whole:
        assert 0.01 <= values["a"] <= 1 and values["a"] == float(f"{values['a']:.4g}")
        assert isinstance(values["b"], int) and values["c"] in ([0, 2], [0, 1, 2])


def test_a_running_trial_counts_until_it_is_found_dead(tmp_path: Path) -> None:
    study = open_study(tmp_path, "x", SEARCH)
    lost = next_trial(study, SEARCH, tmp_path / "ask.lock", limit=1, seed=5)
    assert lost is not None
    values = draw(lost, SEARCH, {"b"})
    assert next_trial(study, SEARCH, tmp_path / "ask.lock", limit=1, seed=5) is None
    study = open_study(tmp_path, "x", SEARCH)
    recover(study, {})
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert not any(map(counted, study.trials))
    assert do(study, tmp_path, 1) == [values]


def test_a_failure_of_its_own_counts(tmp_path: Path) -> None:
    study = open_study(tmp_path, "x", SEARCH)
    trial = study.ask()
    trial.set_user_attr("reason", "diverged")
    study.tell(trial, state=TrialState.FAIL)
    recover(study, {"a": 0.5})
    assert [counted(each) for each in study.trials] == [True]


def test_a_torn_journal_is_repaired(tmp_path: Path) -> None:
    study = open_study(tmp_path, "x", SEARCH)
    do(study, tmp_path, 2)
    whole = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(whole + b'{"op_code": 6, "tri')
    (tmp_path / f"{JOURNAL}.lock").symlink_to(tmp_path / JOURNAL)
    repair(tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == whole
    assert len(open_study(tmp_path, "x", SEARCH).trials) == 2
    do(open_study(tmp_path, "x", SEARCH), tmp_path, 3)


def test_the_recipes_own_values_come_first(loaded: LoadedRecipe, tmp_path: Path) -> None:
    assert loaded.recipe.search is not None
    own = own_values(loaded.recipe, loaded.recipe.search)
    assert own == {
        "distill.losses.kl.temperature": 4.0,
        "distill.losses.kl.weight": 0.5,
        "distill.train.optimizer.sgd.lr": 0.1,
        "student.model.cifar_resnet.depth": "8",
    }
    study = open_study(tmp_path, "x", loaded.recipe.search)
    recover(study, own)
    trial = next_trial(study, loaded.recipe.search, tmp_path / "ask.lock", limit=1, seed=0)
    assert trial is not None
    assert draw(trial, loaded.recipe.search, set()) == {**own, "student.model.cifar_resnet.depth": 8}


def test_values_outside_their_range_are_not_forced(loaded: LoadedRecipe) -> None:
    space = {"distill.losses.kl.temperature": {"low": 5, "high": 9}, "distill.nothing": {"choices": [1]}}
    assert own_values(loaded.recipe, SearchSection.model_validate({"space": space})) == {}
