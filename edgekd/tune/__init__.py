"""Tune: searches values of a recipe, and runs the recipe with the best ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.backends import need
from edgekd.errors import EdgekdError

if TYPE_CHECKING:
    from edgekd.pipeline import Result
    from edgekd.progress import Progress
    from edgekd.recipe import LoadedRecipe
    from edgekd.tune.worker import Job


def tune(
    loaded: LoadedRecipe,
    out: Path,
    store: Path,
    progress: Progress,
    *,
    trials: int | None = None,
    workers: int = 1,
    minutes: float | None = None,
) -> Result:
    """Searches on the training and validation split, then runs the winner's recipe: the only use of the test split.

    The search goes on where it was stopped, by Ctrl-C, a kill or `minutes`; a finished one is not repeated.

    Args:
        loaded: the recipe, with a search section.
        out: the run's folder; `search/` in it holds the journal, `best.yaml` the winner.
        store: where stage results are kept.
        progress: where progress is shown.
        trials: trials to reach; None takes the recipe's number.
        workers: processes that do trials, each with its share of the CPU threads.
        minutes: after which no trial starts; None has no limit.

    Raises:
        RecipeError: there is no search section.
        EdgekdError: no trial was completed, or a worker was killed.
        GateFailure: the winner's run breached a gate.
    """
    need("optuna", extra="tune")
    from edgekd.distill.threads import all_cores
    from edgekd.pipeline import run
    from edgekd.recipe import load_recipe
    from edgekd.steps.context import Context
    from edgekd.store import Store, write_atomically
    from edgekd.target import Target
    from edgekd.tune.found import FOLDER
    from edgekd.tune.summary import best_recipe, winner_of
    from edgekd.tune.worker import Job

    job = Job(
        loaded,
        out / FOLDER,
        store,
        trials,
        None if minutes is None else time.time() + 60 * minutes,
        None if workers == 1 else max(1, all_cores() // workers),
        progress.quiet,
    )
    found = search(job, progress, workers)
    best = winner_of(found)
    path = out / "best.yaml"
    write_atomically(path, best_recipe(job.recipe_with(best["values"]), found, str(loaded.path)))
    progress.note(f"the best trial is number {best['number'] + 1}; its recipe: {path}")
    winner = load_recipe(path)
    context = Context(winner.recipe, winner.raw, Store(store, progress.warn), progress)
    targets = {board.name: board for board in map(Target.load, winner.recipe.targets)}
    return run(context, out, list(targets.values()))


def search(job: Job, progress: Progress, workers: int = 1) -> dict[str, Any]:
    """Does what is left of the search's trials; keeps what was found, the report document's `search` part."""
    from edgekd.steps.data import prepare_data
    from edgekd.steps.probe import probe
    from edgekd.steps.safeguards import before_teaching
    from edgekd.target import Target
    from edgekd.tune.found import keep
    from edgekd.tune.study import counted, locked, own_values, recover, repair
    from edgekd.tune.summary import summary, winner_of
    from edgekd.tune.worker import work

    recipe, context = job.loaded.recipe, job.context(progress)
    with locked(job.folder / "lock") as lock:
        whole = prepare_data(context)
        probe(context, len(whole.entry.info["classes"]), [*map(Target.load, recipe.targets)])
        data, teachers = job.prepared(progress)
        repair(job.folder)
        study = job.study(data, teachers)
        recover(study, own_values(recipe, job.search))
        left = job.trials - sum(map(counted, study.get_trials(deepcopy=False)))
        if left > 0:
            for warning in before_teaching(context, whole, teachers):
                progress.warn(warning)
            progress.note(f"search: {left} of {job.trials} trials to do, {workers} at a time")
            work(job) if workers == 1 else _spawn(job, workers, lock)
        found = summary(study, job.search, len(data.open().indices("validation")))
        winner = job.recipe_with(winner_of(found)["values"])
        keep(job.folder, found, recipe, winner, whole.digest, teachers)
        shutil.rmtree(job.folder / "trials", ignore_errors=True)
    return found


def _spawn(job: Job, workers: int, lock: int) -> None:
    """Runs worker processes and waits for them; each holds the search's lock too: none outlives it unnoticed."""
    options = {
        "recipe": str(job.loaded.path),
        "folder": str(job.folder),
        "store": str(job.store),
        "limit": job.limit,
        "deadline": job.deadline,
        "threads": job.threads,
        "quiet": job.quiet,
        "parent": os.getpid(),
    }
    command = [sys.executable, "-m", "edgekd.tune.worker", json.dumps(options)]
    environment = {"OMP_NUM_THREADS": str(job.threads or 1), **os.environ}
    running = [subprocess.Popen(command, env=environment, pass_fds=(lock,)) for _ in range(workers)]
    try:
        codes = [process.wait() for process in running]
    finally:
        for process in running:
            process.terminate()
    if any(codes):
        raise EdgekdError(
            f"{sum(map(bool, codes))} of {workers} workers of the search ended early",
            received="exit codes " + ", ".join(map(str, codes)),
            hint="what was finished is kept: run the same command again to continue",
        )
