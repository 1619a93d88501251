"""A worker of a search: draws, trains and scores one trial after the other. Several share one study.

Trained by the pipeline's own steps on the reduced data (`subset.py`): whatever a recipe can say, a trial does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edgekd.errors import EdgekdError, RecipeError, StoreError
from edgekd.progress import Progress
from edgekd.recipe import LoadedRecipe, Recipe, load_recipe, validated
from edgekd.steps.context import Context
from edgekd.steps.data import prepare_data
from edgekd.steps.evaluate import evaluate
from edgekd.steps.networks import FloatModel
from edgekd.steps.school import School
from edgekd.steps.train import train_teacher
from edgekd.store import Store
from edgekd.tune.section import SearchSection
from edgekd.tune.space import PathError, applied, assignments, whole_keys
from edgekd.tune.study import draw, next_trial, open_study, study_name
from edgekd.tune.subset import TrialData, trial_data

if TYPE_CHECKING:
    from optuna import Study, Trial

T = TypeVar("T")
THREADS = "distill.train.threads"


@dataclass(frozen=True)
class Job:
    """What all workers of a search are given.

    Attributes:
        loaded: the recipe, with a search section.
        folder: of the journal and what trials leave; the search's own.
        store: the run's store, for the data and the teacher.
        limit: trials to reach; None takes the recipe's number.
        deadline: Unix time after which no trial starts; None has none.
        threads: CPU threads of a trial, where the recipe does not say; None takes all cores.
        quiet: prints nothing but warnings.
    """

    loaded: LoadedRecipe
    folder: Path
    store: Path
    limit: int | None = None
    deadline: float | None = None
    threads: int | None = None
    quiet: bool = False

    @cached_property
    def search(self) -> SearchSection:
        """The search section."""
        if self.loaded.recipe.search is None:
            raise RecipeError(
                "the recipe has no search section",
                where=self.loaded.path,
                accepted="search: {space: {distill.losses.kl.temperature: {low: 1, high: 10}}}",
            )
        return self.loaded.recipe.search

    @property
    def trials(self) -> int:
        """Trials to reach."""
        return self.limit or self.search.trials

    def recipe_with(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with other values.

        Raises:
            RecipeError: together they are not valid.
        """
        try:
            recipe, problems = validated(applied(self.loaded.expanded, values), self.loaded.path.resolve().parent)
        except PathError as error:
            raise RecipeError(str(error), received=values) from error
        if recipe is None or problems:
            raise RecipeError("; ".join(f"{each.dotted}: {each.message}" for each in problems), received=values)
        return recipe

    def context(self, progress: Progress) -> Context:
        """The run's surroundings, for the data and the teacher."""
        return Context(self.loaded.recipe, self.loaded.raw, Store(self.store, progress.warn), progress)

    def prepared(self, progress: Progress) -> tuple[TrialData, list[FloatModel]]:
        """The trials' data, and the teachers: trained once, on the whole training split."""
        context = self.context(progress)
        whole = prepare_data(context)
        data, teachers = trial_data(whole, self.search.fraction, context.recipe.seed), list[FloatModel]()
        for section in context.recipe.all_teachers():
            entry = train_teacher(context, whole, section)
            teachers.append(FloatModel("teacher", section, entry, evaluate(context, data, section, entry)))
        return data, teachers

    def study(self, data: TrialData, teachers: Sequence[FloatModel]) -> Study:
        """The study that this recipe, data and teachers belong to."""
        return open_study(self.folder, study_name(self.loaded.recipe, self.search, data, teachers), self.search)


@dataclass(frozen=True)
class TrialProgress(Progress):
    """Tells which trial speaks, passes its epochs on to the study, and ends a worker whose search is gone.

    Attributes:
        trial: the trial.
        parent: the process that must live; 0: none.
        last: the trial may be stopped before this epoch.
    """

    trial: Any = None
    parent: int = 0
    last: int = 0

    def note(self, text: str) -> None:
        """One line, with the trial's number."""
        super().note(f"trial {self.trial.number + 1}: {text}")

    def track(self, iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """Passes the items on, silently: several trials share the screen."""
        for item in iterable:
            yield item
            if self.parent and os.getppid() != self.parent:
                raise SystemExit(1)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Stops the trial where the median of the others was better at its epoch."""
        from optuna import TrialPruned

        if row["epoch"] < self.last and row["validation_accuracy"] is not None:
            self.trial.report(row["validation_accuracy"], row["epoch"])
            if self.trial.should_prune():
                raise TrialPruned


def work(job: Job, parent: int = 0) -> None:
    """Does trials until there are enough, or until the deadline.

    Args:
        job: the search.
        parent: the process that started this one, which ends when that is gone; 0: this is that process.
    """
    progress = Progress(job.quiet)
    data, teachers = job.prepared(progress)
    study = job.study(data, teachers)
    recipe = job.loaded.recipe
    whole = whole_keys(job.search, job.loaded.expanded, lambda raw: validated(raw, job.loaded.path.parent)[0])
    while job.deadline is None or time.time() < job.deadline:
        trial = next_trial(study, job.search, job.folder / "ask.lock", limit=job.trials, seed=recipe.seed)
        if trial is None:
            return
        own = TrialProgress(job.quiet, trial, parent)
        _do(job, study, trial, draw(trial, job.search, whole), data, teachers, own)


def _do(
    job: Job,
    study: Study,
    trial: Trial,
    drawn: Mapping[str, Any],
    data: TrialData,
    teachers: Sequence[FloatModel],
    progress: TrialProgress,
) -> None:
    """Trains and scores one trial, and tells the study how it ended."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    search, started = job.search, time.monotonic()
    pairs = [assignments(path, search.space[path], value) for path, value in drawn.items()]
    values = {path: value for pair in pairs for path, value in pair.items()}
    trial.set_user_attr("values", values)
    progress.note(", ".join(f"{path.removeprefix('distill.')} {value}" for path, value in values.items()))
    try:
        found = _known(study, values) or _scored(job, values, data, teachers, progress)
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        progress.note("stopped early: at this epoch the median of the others was better")
        return
    except StoreError:
        raise  # no fault of the values: a full disk would fail every trial
    except EdgekdError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.FAIL)
        progress.warn(f"trial {trial.number + 1} failed: {error}")
        return
    for name, value in {**found, "seconds": time.monotonic() - started}.items():
        trial.set_user_attr(name, value)
    study.tell(trial, [found[objective] for objective in search.objectives])
    progress.note(f"validation accuracy {100 * found['accuracy']:.2f} %, {found['parameters']:,} parameters")


def _known(study: Study, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figures of an earlier trial with the same values: a training ends the same way twice."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.user_attrs["values"] == values:
            return {name: trial.user_attrs[name] for name in ("accuracy", "parameters", "size_bytes")}
    return None


def _scored(
    job: Job, values: Mapping[str, Any], data: TrialData, teachers: Sequence[FloatModel], progress: TrialProgress
) -> dict[str, Any]:
    """A student trained with the values: best validation accuracy, parameters, size of the float32 weights."""
    threads = {} if job.threads is None or _threads(job.loaded.recipe) else {THREADS: job.threads}
    recipe = job.recipe_with({**values, **threads})
    if recipe.distill is None:
        raise RecipeError("there is nothing to search without a distill section", where="search")
    # Optuna stops trials of a single objective only; a training's last epoch saves nothing; and the epochs of the
    # networks that a strategy trains on the way say nothing about the student.
    stoppable = len(job.search.objectives) == 1 and recipe.distill.strategy.method_name == "plain"
    own = replace(progress, last=recipe.distill.train.epochs if stoppable else 0)
    school = School(Context(recipe, {}, Store(job.folder / "trials", progress.warn), own), data, list(teachers))
    recipe.distill.strategy.run(school)
    student = next(model for model in school.models if model.role == "student")
    size_bytes = student.evaluation.info["size_bytes"]
    return {"accuracy": student.validation_accuracy, "parameters": student.parameters, "size_bytes": size_bytes}


def _threads(recipe: Recipe) -> int | None:
    return None if recipe.distill is None else recipe.distill.train.threads


def main() -> None:
    """A worker process: its job is JSON on the command line."""
    options = cast(dict[str, Any], json.loads(sys.argv[1]))
    loaded = load_recipe(Path(options.pop("recipe")))
    folder, store, parent = Path(options.pop("folder")), Path(options.pop("store")), options.pop("parent")
    try:
        work(Job(loaded, folder, store, **options), parent)
    except EdgekdError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
