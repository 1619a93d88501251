"""The study: a journal on disk that several processes share and that survives any of them."""

from __future__ import annotations

import fcntl
import json
import warnings
from collections.abc import Container, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.backends import need, versions
from edgekd.store import key_of, source_digest
from edgekd.tune.found import subject
from edgekd.tune.section import SearchSection
from edgekd.tune.space import PathError, get

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from edgekd.recipe import Recipe
    from edgekd.steps.data import PreparedData
    from edgekd.steps.networks import FloatModel

JOURNAL = "journal.log"
DIRECTIONS = {"accuracy": "maximize", "parameters": "minimize"}
DIGITS = 4
"""Significant digits of a drawn number: what the report shows is what was trained."""


def study_name(recipe: Recipe, search: SearchSection, data: PreparedData, teachers: Sequence[FloatModel]) -> str:
    """What decides a trial's score, as a digest: a changed recipe opens another study in the same journal."""
    inputs = {
        **subject(recipe, data.digest, teachers),
        "search": search.model_dump(mode="json", exclude={"trials"}),
        "code": source_digest("edgekd.distill", "edgekd.models", "edgekd.steps", "edgekd.tune"),
        "versions": versions("torch", "numpy", "optuna"),
    }
    return key_of(inputs)


def open_study(folder: Path, name: str, search: SearchSection) -> Study:
    """The study `name` of the journal in `folder`; made when it is not there."""
    optuna = need("optuna", extra="tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    directions = [DIRECTIONS[objective] for objective in search.objectives]
    # Reported from epoch 1 on: the first epoch, often all warm-up, stops no trial.
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    storage = optuna.storages.JournalStorage(backend)
    if name in {known.study_name for known in storage.get_all_studies()}:
        return optuna.load_study(study_name=name, storage=storage, pruner=pruner)
    return optuna.create_study(study_name=name, storage=storage, directions=directions, pruner=pruner)


@contextmanager
def locked(path: Path) -> Generator[int]:
    """Holds a file's lock; yields its descriptor, which a child process may inherit and keep holding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def repair(folder: Path) -> None:
    """Clears what a killed writer left of the journal: its lock, and a last line without an end.

    Call it only while no other process has the journal open.
    """
    journal = folder / JOURNAL
    (folder / f"{JOURNAL}.lock").unlink(missing_ok=True)
    if journal.exists():
        whole = journal.read_bytes()
        with journal.open("r+b") as file:
            file.truncate(whole.rfind(b"\n") + 1)


def recover(study: Study, values: Mapping[str, Any]) -> None:
    """Queues again what killed workers left unfinished; in a new study first the recipe's own `values`."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            if params := trial.params or trial.system_attrs.get("fixed_params"):
                study.enqueue_trial(params)
    if not study.get_trials(deepcopy=False) and values:
        study.enqueue_trial(dict(values))


def own_values(recipe: Recipe, search: SearchSection) -> dict[str, Any]:
    """The recipe's own values, as the study encodes them, where they lie within their range."""
    written = recipe.model_dump(mode="json")
    found: dict[str, Any] = {}
    for path, searched in search.space.items():
        try:
            value = get(written, path)
        except PathError:
            continue
        if searched.bounds is None:
            found.update((path, json.dumps(choice)) for choice in searched.choices or [] if choice == value)
        elif isinstance(value, int | float) and searched.bounds[0] <= value <= searched.bounds[1]:
            found[path] = value
    return found


def counted(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those asked for: a killed one is not, it was queued again."""
    from optuna.trial import TrialState

    failed = trial.state == TrialState.FAIL and "reason" not in trial.user_attrs
    return trial.state != TrialState.WAITING and not failed


def next_trial(study: Study, search: SearchSection, lock: Path, *, limit: int, seed: int) -> Trial | None:
    """The next trial, or None when `limit` have begun; one worker asks at a time.

    The sampler is made anew for each trial, seeded by the recipe's seed and the trial's number: a search that was
    interrupted goes on with what it would have drawn, and no two workers draw the same.
    """
    from optuna.samplers import TPESampler

    with locked(lock):
        trials = study.get_trials(deepcopy=False)
        if sum(map(counted, trials)) >= limit:
            return None
        own = int(key_of({"seed": seed, "trial": len(trials)})[:8], 16)
        study.sampler = TPESampler(seed=own)
        return study.ask()


def draw(trial: Trial, search: SearchSection, whole: Container[str]) -> dict[str, Any]:
    """The trial's value of each searched key; `whole` holds the keys that take whole numbers only."""
    drawn: dict[str, Any] = {}
    for path, searched in search.space.items():
        if searched.bounds is None:
            choices = [json.dumps(choice) for choice in searched.choices or []]
            drawn[path] = json.loads(trial.suggest_categorical(path, choices))
            continue
        low, high = searched.bounds
        if path in whole:
            drawn[path] = trial.suggest_int(path, int(low), int(high), log=searched.log)
        else:
            value = trial.suggest_float(path, low, high, log=searched.log)
            drawn[path] = min(max(float(f"{value:.{DIGITS}g}"), low), high)
    return drawn
