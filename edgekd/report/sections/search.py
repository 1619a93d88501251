"""The search that belongs to the run's recipe: what mattered, and accuracy against size."""

from __future__ import annotations

from pydantic import JsonValue

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Details, Paragraph, Plot, Row, Section, columns, table
from edgekd.report.cells import number
from edgekd.report.document import Document
from edgekd.report.document.parts import NO_REASON
from edgekd.report.document.search import Search, SearchTrial
from edgekd.report.intervals import wilson
from edgekd.report.plots.scatter import Mark, scatter

AXES = ("parameters, thousands", "validation accuracy, %")
STATES = {"complete": "complete", "pruned": "stopped early", "fail": "failed", "running": "not finished"}
VALUES = columns("Key|Searched", "Best|Importance")
TRIALS = columns("Trial|Outcome", "Validation accuracy|Parameters|Float32 weights|Time")
NETWORKS = {
    "winner": "The networks of this report were trained anew with its values, on all of the training split.",
    "recipe": "The networks of this report were not trained with its values but with those that the recipe itself "
    "gives; `best.yaml` has the best ones.",
}
HOW = (
    "Importance is the share of a key in whether a trial is among the best tenth (PED-ANOVA, Watanabe et al. 2023); it "
    "holds for the ranges that were searched and says nothing outside them."
)


def section(document: Document) -> Section | None:
    """What was found, the keys with their importance, the Pareto front and every trial; None without a search."""
    search = document.search
    if search is None:
        return None
    best = next(trial for trial in search.trials if trial.number == search.best)
    rows = (_key_row(search, best, path) for path in search.space)
    listed = (_trial_row(search, trial) for trial in search.trials)
    keys = table("Searched keys", VALUES, rows, cards=True, foot=HOW)
    blocks: list[Block] = [Paragraph(_sentence(search, best)), keys, _plot(search)]
    trials = table("Trials", (*TRIALS, *columns("Values")), listed, cards=True)
    return Section("search", "Search", (*blocks, Details(f"All {len(search.trials)} trials", (trials,))))


def _sentence(search: Search, best: SearchTrial) -> str:
    states = [trial.state for trial in search.trials]
    counts = ", ".join(f"{states.count(state)} {word}" for state, word in STATES.items() if state in states)
    score = units.percent(best.accuracy or 0, search.validation_samples)
    samples = units.integer(search.validation_samples)
    date = "" if search.finished is None else f", the last one on {search.finished}"
    return (
        f"{len(states)} trials{date}: {counts}. The best one, trial {best.number + 1}, reached {score} on the "
        f"validation split ({samples} samples), trained on {units.share(search.fraction)} of the training split. "
        f"No trial saw the test split. {NETWORKS[search.networks]}"
    )


def _key_row(search: Search, best: SearchTrial, path: str) -> Row:
    share = (search.importances or {}).get(path)
    return (
        Cell(path, code=True),
        Cell(_range(search.space[path])),
        Cell(units.fact(best.values[path])),
        number(share, units.share, search.importances_reason or NO_REASON),
    )


def _range(searched: dict[str, JsonValue]) -> str:
    choices = searched.get("choices")
    if isinstance(choices, list):
        return " or ".join(units.fact(choice) for choice in choices)
    complement = f", 1 minus it: {searched['complement']}" if "complement" in searched else ""
    return f"{searched['low']} to {searched['high']}{', logarithmic' if searched.get('log') else ''}{complement}"


def _trial_row(search: Search, trial: SearchTrial) -> Row:
    why = trial.reason or f"the trial {'was ' if trial.state == 'pruned' else ''}{STATES[trial.state]}"
    note = "best" if trial.number == search.best else "on the front" if trial.number in search.front else ""
    epochs = f"after {trial.epochs} epochs" if trial.state == "pruned" else note
    return (
        Cell(str(trial.number + 1)),
        Cell(STATES[trial.state], note=epochs),
        number(trial.accuracy, lambda value: units.percent(value, search.validation_samples), why),
        number(trial.parameters, units.count, why),
        number(trial.size_bytes, units.size, why),
        number(trial.seconds, units.duration, why),
        Cell(", ".join(f"{path} {units.fact(value)}" for path, value in trial.values.items())),
    )


def _plot(search: Search) -> Block:
    """Every complete trial; the front, whose marks are filled and joined, has labels and intervals."""
    shown = {trial.number: trial for trial in search.trials if trial.state == "complete"}
    marks: list[Mark] = []
    for trial in shown.values():
        on_front, accuracy = trial.number in search.front, trial.accuracy or 0.0
        interval = wilson(accuracy, search.validation_samples) if on_front else (accuracy, accuracy)
        label = f"trial {trial.number + 1}"
        marks.append(Mark((trial.parameters or 0) / 1e3, accuracy, *interval, label, on_front, 0, on_front))
    front = [list(shown).index(found) for found in search.front]
    summary = "; ".join(
        f"trial {number + 1}: {units.count(shown[number].parameters or 0)} parameters at "
        f"{units.percent(shown[number].accuracy or 0, search.validation_samples)}"
        for number in search.front
    )
    caption = (
        f"Accuracy against size of the {len(marks)} complete trials; up and to the left is better. Filled marks are "
        "the Pareto front: no trial is both as small and as accurate, except the same. Bars are 95 % Wilson intervals."
    )
    title = f"Accuracy against size, the front: {summary}"
    wide = scatter(marks, 900, 420, title, "wide", axes=AXES, unit="thousand parameters", front=front)
    narrow = scatter(marks, 356, 440, title, "narrow", axes=AXES, unit="thousand parameters", front=front)
    return Plot(caption, wide, narrow, summary)
