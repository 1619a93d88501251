"""What a search found: the report's figures, and the winner as an ordinary recipe."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from edgekd.errors import EdgekdError
from edgekd.recipe import Recipe
from edgekd.tune.section import SearchSection
from edgekd.tune.study import counted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

FEWEST = 8
"""Complete trials below which no importance is told: PED-ANOVA compares the best tenth with the rest."""


def summary(study: Study, search: SearchSection, validation_samples: int) -> dict[str, Any]:
    """The report document's `search` part (see `edgekd.report.document.Search`).

    Raises:
        EdgekdError: no trial was completed.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if counted(trial) and "values" in trial.user_attrs]
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if not complete:
        reasons = {str(trial.user_attrs["reason"]) for trial in trials if "reason" in trial.user_attrs}
        raise EdgekdError(
            "no trial of the search was completed",
            received="; ".join(sorted(reasons)) or None,
            hint="give it more time or trials, or narrower ranges: edgekd tune RECIPE --trials N",
        )
    best = max(complete, key=lambda trial: (_accuracy(trial), -trial.user_attrs["parameters"], -trial.number))
    front = pareto([(trial.user_attrs["parameters"], _accuracy(trial)) for trial in complete])
    importances, reason = _importances(study, search, len(complete))
    return {
        "finished": max(trial.datetime_complete for trial in trials if trial.datetime_complete).date().isoformat(),
        "objectives": search.objectives,
        "fraction": search.fraction,
        "validation_samples": validation_samples,
        "space": {path: each.model_dump(mode="json", exclude_defaults=True) for path, each in search.space.items()},
        "best": best.number,
        "importances": importances,
        "importances_reason": reason,
        "front": [complete[index].number for index in front],
        "trials": [_row(trial) for trial in trials],
    }


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (size, score) that no other beats: at most as large, at least as good, and not the same.

    From the smallest to the largest; of equal points the first.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index)):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def _accuracy(trial: FrozenTrial) -> float:
    return float(trial.user_attrs["accuracy"])


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attrs, epochs = trial.user_attrs, trial.intermediate_values
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "values": attrs["values"],
        "accuracy": attrs.get("accuracy"),
        "parameters": attrs.get("parameters"),
        "size_bytes": attrs.get("size_bytes"),
        "seconds": attrs.get("seconds"),
        "epochs": len(epochs) if epochs else None,
        "reason": attrs.get("reason"),
    }


def _importances(study: Study, search: SearchSection, complete: int) -> tuple[dict[str, float] | None, str | None]:
    """Share of each key in whether a trial is among the best; or None and why.

    PED-ANOVA: Watanabe, Bansal, Hutter 2023, https://arxiv.org/abs/2304.10255
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if len(search.space) == 1:
        return None, "only one key was searched, so there is nothing to compare it with"
    if complete < FEWEST:
        return None, f"{complete} complete trials are too few to tell, {FEWEST} are the least"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a reminder that low targets are taken as good: hence the minus
        found = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), target=lambda trial: -_accuracy(trial)
        )
    total = sum(found.values())
    if not total > 0:
        return None, "all trials were about equally good"
    return {path: found.get(path, 0.0) / total for path in search.space}, None


def winner_of(found: dict[str, Any]) -> dict[str, Any]:
    """The best trial of what `summary` found."""
    return next(row for row in found["trials"] if row["number"] == found["best"])


def best_recipe(recipe: Recipe, found: dict[str, Any], source: str) -> str:
    """The winner's recipe as YAML, with the search's figures in its head; its paths are absolute."""
    trials, best = found["trials"], winner_of(found)
    states = [row["state"] for row in trials]
    head = [
        f"{recipe.name}: the best of {len(trials)} trials of `edgekd tune {source}`.",
        f"Trial {best['number'] + 1}: {100 * best['accuracy']:.2f} % of {found['validation_samples']} validation "
        f"samples, {best['parameters']} parameters, trained on {100 * found['fraction']:g} % of the training split.",
        f"{states.count('complete')} trials complete, {states.count('pruned')} stopped early, "
        f"{states.count('fail')} failed. Its values:",
        *(f"    {path}: {value}" for path, value in best["values"].items()),
    ]
    written = recipe.model_dump(mode="json", exclude_unset=True)
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
