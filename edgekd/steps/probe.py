"""Step: the untrained student's capture and float export, so that what cannot be exported shows before the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekd import errors
from edgekd.backends import versions
from edgekd.errors import EdgekdError, ExportError, one_line
from edgekd.export import FORMATS, Precision
from edgekd.export.untrained import Reasons, Sketch, failures
from edgekd.isolated import Died
from edgekd.models.architecture import CLASSES
from edgekd.recipe import Recipe
from edgekd.steps.context import Context
from edgekd.store import source_digest
from edgekd.target import Target

QUANTIZED: Sequence[Precision] = ("int8",)


def plan(recipe: Recipe, target: Target) -> Iterator[tuple[str, str, Precision]]:
    """Role, format and precision of every file for a target: the recipe's formats, or those that it prefers and runs.

    The quantized-teacher baseline comes in INT8 only: its float accuracy is the teacher's own.
    """
    asked = "precisions" in recipe.export.model_fields_set or recipe.compress is not None
    precisions: Sequence[Precision] = recipe.export.precisions if asked else ["float32"]
    baseline = recipe.distill is not None and "quantized_teacher" in recipe.distill.baselines
    for role in ("student", "teacher") if baseline else ("student",):
        for name in recipe.export.formats or target.format_names():
            for precision in precisions if role == "student" else QUANTIZED:
                if not target.format_reasons(name, precision):
                    yield role, name, precision


def probe(context: Context, classes: int, targets: Sequence[Target]) -> dict[str, EdgekdError]:
    """Why the untrained student cannot be exported, by format; told as warnings.

    What was found out is stored, but for a death: it may have been the memory's fault.

    Raises:
        ExportError: it cannot be exported to any format.
    """
    sketch, formats = Sketch.of(context.recipe, classes), wanted(context.recipe, targets)

    def stored(names: Sequence[str]) -> Reasons:
        inputs = {
            "network": sketch.key(),
            "formats": {name: FORMATS.parse(name).identity() for name in names},
            "code": source_digest("edgekd.export", "edgekd.compress", "edgekd.models"),
            "versions": versions("torch", "numpy"),
        }

        def build(_: Path) -> Mapping[str, Any]:
            context.progress.note(f"student: trying to export the untrained network to {', '.join(names)}")
            return {"failed": failures(sketch, names)}

        return context.store.get("probe", inputs, build).info["failed"]

    found = _survived(formats, stored)
    if found and len(found) == len(formats):
        raise _listed(found)
    for name, error in found.items():
        context.progress.warn(f"the student cannot be exported to {name}; the run goes on: {one_line(error)}")
    return found


def check_export(recipe: Recipe) -> None:
    """Tries the same without data, for a number of classes that stands for theirs.

    Raises:
        ExportError: the student cannot be exported to some formats, each with its reason.
        ModelError: there is no such network.
    """
    sketch = Sketch.of(recipe, CLASSES)
    found = _survived(wanted(recipe, [*map(Target.load, recipe.targets)]), lambda names: failures(sketch, names))
    if found:
        raise _listed(found)


def wanted(recipe: Recipe, targets: Sequence[Target]) -> list[str]:
    """The formats that the student is exported to, over all targets."""
    every = (name for target in targets for role, name, _ in plan(recipe, target) if role == "student")
    return list(dict.fromkeys(every))


def _survived(formats: Sequence[str], tried: Callable[[Sequence[str]], Reasons]) -> dict[str, EdgekdError]:
    """What fails of the formats; where one of them killed the process of all, each has a process of its own."""
    try:
        return {name: getattr(errors, kind)(text) for name, (kind, text) in tried(formats).items()}
    except Died as death:
        if len(formats) == 1:
            return {formats[0]: death}
        return {name: error for one in formats for name, error in _survived([one], tried).items()}


def _listed(failed: Mapping[str, EdgekdError]) -> ExportError:
    """One error of several formats' errors, which is told once where they share it."""
    what, told = f"the student cannot be exported to {', '.join(failed)}", {str(error) for error in failed.values()}
    if len(told) == 1:
        return ExportError(f"{what}: {told.pop()}")
    return ExportError(what, where="\n            ".join(f"{name}: {one_line(why)}" for name, why in failed.items()))
