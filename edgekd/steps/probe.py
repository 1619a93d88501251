"""Step: capture and float export of the untrained student, so that what cannot be exported shows before the training.

It happens in a process of its own: a converter that dies there is a reason like any other, and neither random numbers
nor a library's settings change for the training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekd import errors
from edgekd.backends import versions
from edgekd.compress.rules import QuantizationRules
from edgekd.errors import FILE_ERRORS, EdgekdError, ExportError, one_line
from edgekd.export import FORMATS, Precision, export
from edgekd.isolated import Died, isolated
from edgekd.models import ModelSection, load
from edgekd.models.architecture import CLASSES
from edgekd.recipe import Recipe
from edgekd.steps.context import Context
from edgekd.store import source_digest
from edgekd.target import Target

QUANTIZED: Sequence[Precision] = ("int8",)
SAMPLES, TOKENS = 8, 16
Reasons = dict[str, Sequence[str]]
"""Format to the kind of error that its export ended with, and what it says."""


@dataclass(frozen=True)
class Sketch:
    """The student before its training.

    Attributes:
        section: its architecture alone.
        classes: number of its outputs.
        shape: of the images `(B, C, H, W)`, or of the token ids `(B, T)`, that it is called with.
        max_tokens: of a text; None for images.
        keep_float: patterns of which each must name one of its layers.
    """

    section: ModelSection
    classes: int
    shape: tuple[int, ...]
    max_tokens: int | None
    keep_float: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, classes: int) -> Sketch:
        """The recipe's student; one that will be pruned has all of its units yet."""
        data = recipe.data
        kept = () if recipe.compress is None else tuple(recipe.compress.keep_float)
        is_image = data.reader.kind == "image"
        shape = (data.channels, *data.image_size()) if is_image else (min(TOKENS, data.max_length),)
        limit = None if is_image else data.max_length
        return cls(ModelSection(model=recipe.student.model), classes, (SAMPLES, *shape), limit, kept)

    def key(self) -> dict[str, Any]:
        """What decides whether it can be exported."""
        source = self.section.model
        model = {"model": source.model_dump(mode="json"), "identity": source.identity(), "classes": self.classes}
        return {**model, "shape": self.shape, "max_tokens": self.max_tokens, "keep_float": self.keep_float}


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
            "code": source_digest("edgekd.export", "edgekd.compress", "edgekd.models", "edgekd.steps.probe"),
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


def failures(sketch: Sketch, formats: Sequence[str]) -> Reasons:
    """What fails, tried in one process for all formats.

    Raises:
        Died: one of them killed it.
        ModelError: there is no such network.
    """
    try:
        return isolated("exporting the untrained network", attempt, sketch, formats)
    except Died:
        raise
    except FILE_ERRORS as error:
        return {name: (type(error).__name__, str(error)) for name in formats}


def attempt(sketch: Sketch, formats: Sequence[str]) -> Reasons:
    """What fails, tried in this process.

    Raises:
        CompressError: the network cannot be captured at all, or has no layer of a name in `keep_float`.
        ModelError: there is no such network.
    """
    import torch

    from edgekd.compress.fold import fold
    from edgekd.compress.select import requested

    if sketch.max_tokens is None:
        channels = sketch.shape[1]
        drawn = np.random.default_rng(0).standard_normal(sketch.shape, np.float32)
        example = (torch.as_tensor(drawn),)
    else:
        channels = 0
        example = (torch.ones(sketch.shape, dtype=torch.int64),) * 2
    model = load(sketch.section, sketch.classes, channels, seed=0).eval()
    program = fold(model, example, sketch.max_tokens)
    requested(sketch.keep_float, program.layers())
    found: Reasons = {}
    for name in formats:
        with tempfile.TemporaryDirectory() as folder:
            try:
                export(program, None, FORMATS.parse(name), Path(folder), QuantizationRules())
            except FILE_ERRORS as error:
                found[name] = (type(error).__name__, str(error))
    return found
