"""What single fields cannot tell: combinations of a recipe's sections that cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from edgekd.errors import MissingBackend, TargetError, nearest
from edgekd.export import FORMATS
from edgekd.target import Target

if TYPE_CHECKING:
    from edgekd.recipe import Recipe


@dataclass(frozen=True)
class Problem:
    """One mistake: where in the recipe, and what."""

    location: tuple[str | int, ...]
    message: str

    @property
    def dotted(self) -> str:
        """`distill.losses[1].kl.temperature`."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.location)
        return text.removeprefix(".") or "(top)"


def one_line(error: Exception) -> str:
    """A multi-line message of `EdgekdError` as one line of a listing."""
    return "; ".join(" ".join(line.split()) for line in str(error).split("\n"))


def combination_problems(recipe: Recipe | None, raw: Mapping[str, Any]) -> list[Problem]:
    """Mistakes between sections.

    Args:
        recipe: the validated recipe, or None when single fields are wrong: then only the raw YAML is checked.
        raw: the YAML as read.
    """
    problems = list(_target_problems(raw))
    if recipe is not None:
        problems += _section_problems(recipe)
        problems += _dynamic_problems(recipe)
        problems += _file_problems(recipe)
    return problems


def _target_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    targets = raw.get("targets")
    export = raw.get("export")
    formats = cast(Mapping[str, Any], export).get("formats") if isinstance(export, Mapping) else None
    precisions = cast(Mapping[str, Any], export).get("precisions") if isinstance(export, Mapping) else None
    loaded: list[Target] = []
    for index, name in enumerate(cast(list[Any], targets) if isinstance(targets, list) else []):
        if not isinstance(name, str):
            continue
        try:
            loaded.append(Target.load(name))
        except TargetError as error:
            yield Problem(("targets", index), one_line(error))
    for index, name in enumerate(cast(list[Any], formats) if isinstance(formats, list) else []):
        if name not in FORMATS.names():
            accepted = ", ".join(FORMATS.names())
            yield Problem(
                ("export", "formats", index),
                f"there is no format '{name}'{nearest(str(name), FORMATS.names())} (accepted: {accepted})",
            )
            continue
        for target in loaded:
            for precision in cast(list[Any], precisions) if isinstance(precisions, list) else ["float32"]:
                for reason in target.format_reasons(name, precision):
                    yield Problem(("export", "formats", index), f"{target.name} does not run it: {reason}")


def _section_problems(recipe: Recipe) -> Iterator[Problem]:
    distill = recipe.distill
    if distill is None:
        if recipe.student.weights is None:
            yield Problem(("student", "weights"), "without a distill section the student needs trained weights")
    else:
        for index, loss in enumerate(distill.losses):
            if loss.needs_teacher and recipe.teacher is None:
                yield Problem(("distill", "losses", index), f"'{loss.method_name}' needs a teacher section")
        if recipe.teacher is None and distill.baselines:
            yield Problem(("distill", "baselines"), "baselines compare with a teacher; there is no teacher section")
        if "quantized_teacher" in distill.baselines and recipe.compress is None:
            yield Problem(("distill", "baselines"), "'quantized_teacher' needs a compress section")
    if recipe.student.train is not None:
        yield Problem(("student", "train"), "the student's training is described in distill.train")
    if recipe.teacher is not None and recipe.teacher.weights is None and recipe.teacher.train is None:
        yield Problem(("teacher",), "an untrained teacher teaches nothing; give weights, a train section, or both")
    asked = "precisions" in recipe.export.model_fields_set
    if asked and "int8" in recipe.export.precisions and recipe.compress is None:
        yield Problem(("export", "precisions"), "int8 needs a compress section, e.g. compress: {method: int8_static}")
    if len(set(recipe.targets)) < len(recipe.targets):
        yield Problem(("targets",), "a target is named twice")


def _dynamic_problems(recipe: Recipe) -> Iterator[Problem]:
    if recipe.compress is None or not recipe.compress.method.dynamic or "int8" not in recipe.export.precisions:
        return
    formats = dict.fromkeys(recipe.export.formats or [])
    for target in [] if formats else recipe.targets:
        with suppress(TargetError):  # told by `_target_problems`
            formats |= dict.fromkeys(Target.load(target).format_names())
    for name in formats:
        if not FORMATS.load(name).dynamic:
            message = (
                f"'{name}' cannot quantize activations at run time; leave it out of export.formats, or int8_static"
            )
            yield Problem(("compress", "method"), message)


def _file_problems(recipe: Recipe) -> Iterator[Problem]:
    reader = recipe.data.reader
    where = ("data", "reader", reader.method_name)
    try:
        for path in reader.sources():
            if not path.exists():
                yield Problem(where, f"there is no file or folder {path}")
    except MissingBackend as error:
        yield Problem(where, one_line(error))
    for role, section in (("teacher", recipe.teacher), ("student", recipe.student)):
        if section is not None and (path := section.weights_path()) is not None and not path.is_file():
            yield Problem(
                (role, "weights"), f"there is no file {path}; accepted: a .safetensors or .pt file, or 'pretrained'"
            )
