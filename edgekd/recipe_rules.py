"""What single fields cannot tell: combinations of a recipe's sections that cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from edgekd.errors import MissingBackend, TargetError, nearest, one_line
from edgekd.export import FORMATS
from edgekd.target import HOST, Target

if TYPE_CHECKING:
    from edgekd.compress import CompressSection
    from edgekd.data import Reader
    from edgekd.distill import DistillSection
    from edgekd.models import ModelSection
    from edgekd.recipe import Recipe

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: where in the recipe, and what."""

    location: Location
    message: str

    @property
    def dotted(self) -> str:
        """`distill.losses[1].kl.temperature`."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.location)
        return text.removeprefix(".") or "(top)"


def combination_problems(recipe: Recipe | None, raw: Mapping[str, Any]) -> list[Problem]:
    """Mistakes between sections.

    Args:
        recipe: the validated recipe, or None when single fields are wrong: then only the raw YAML is checked.
        raw: the YAML as read.
    """
    problems = list(_target_problems(raw))
    if recipe is not None:
        problems += _section_problems(recipe)
        problems += _named_target_problems(recipe)
        problems += _kind_problems(recipe)
        problems += _length_problems(recipe)
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


def _named_target_problems(recipe: Recipe) -> Iterator[Problem]:
    """Budgets of targets that the recipe does not make anything for, and targets that it makes nothing for."""
    try:
        boards = {board.name: board for board in map(Target.load, recipe.targets)}
    except TargetError:
        return  # told where the target stands
    here = [name for name, board in boards.items() if not board.matches_host()]
    names = [*boards, *([HOST] if here else [])]
    for gate in ("latency_p50_ms", "peak_rss_bytes"):
        given: object = getattr(recipe.gates, gate)
        budgets = cast(dict[str, float], given) if isinstance(given, dict) else {}
        for name in budgets:
            if name not in names:
                message = f"'{name}' is not among the targets{nearest(name, names)} (accepted: {', '.join(names)})"
                yield Problem(("gates", gate, name), message)
            elif name == HOST and any(board in budgets for board in here):
                yield Problem(("gates", gate, name), f"'host' is {' and '.join(here)} here: give one budget of the two")
    precisions = recipe.export.precisions
    for index, name in enumerate(recipe.targets):
        board = boards[Target.load(name).name]
        if not any(board.runs(precision, recipe.export.formats) for precision in precisions):
            formats = ", ".join(recipe.export.formats or board.format_names())
            yield Problem(("targets", index), f"{board.name} runs none of {formats} in {' or '.join(precisions)}")


def _section_problems(recipe: Recipe) -> Iterator[Problem]:
    if recipe.distill is not None:
        yield from _distill_problems(recipe, recipe.distill)
    elif recipe.student.weights is None and not recipe.student.starts_from_teacher:
        yield Problem(("student", "weights"), "without a distill section the student needs trained weights")
    yield from _start_problems(recipe)
    if recipe.student.train is not None:
        yield Problem(("student", "train"), "the student's training is described in distill.train")
    if len(recipe.teachers) == 1 or (recipe.teachers and recipe.teacher is not None):
        yield Problem(("teachers",), "give one network as 'teacher', or two and more as 'teachers'")
    for where, section in teachers(recipe):
        if section.weights is None and section.train is None:
            yield Problem(where, "an untrained teacher teaches nothing; give weights, a train section, or both")
    asked = "precisions" in recipe.export.model_fields_set
    if asked and "int8" in recipe.export.precisions and recipe.compress is None:
        yield Problem(("export", "precisions"), "int8 needs a compress section, e.g. compress: {method: int8_static}")
    if len(set(recipe.targets)) < len(recipe.targets):
        yield Problem(("targets",), "a target is named twice")


def _start_problems(recipe: Recipe) -> Iterator[Problem]:
    """Where the student's first weights come from: one place, and one that exists."""
    student, teacher = recipe.student, recipe.teacher
    for key in ("init", "prune"):
        for place, section in teachers(recipe):
            if getattr(section, key) is not None:
                yield Problem((*place, key), f"only a student can have '{key}'; the teacher is where it starts from")
        if getattr(student, key) is None:
            continue
        where = ("student", key)
        if teacher is None:
            yield Problem(where, f"'{key}' starts from the one network of a teacher section; there is none")
        elif key == "init" and student.model.method_name != teacher.model.method_name:
            families = f"{student.model.method_name} and {teacher.model.method_name}"
            yield Problem(where, f"student and teacher are of different families, {families}: no tensor corresponds")
        elif key == "prune" and student.model != teacher.model:
            yield Problem(
                where, "a pruned student is a copy of the teacher: leave student.model out, or use 'init: width'"
            )
        if student.weights is not None:
            yield Problem(where, f"give either weights or '{key}': both decide the student's first weights")
    if student.init is not None and student.prune is not None:
        yield Problem(
            ("student", "prune"), "give either init or prune: a pruned student starts as a copy of the teacher"
        )


def _distill_problems(recipe: Recipe, distill: DistillSection) -> Iterator[Problem]:
    several, strategy = len(recipe.teachers) > 1, distill.strategy
    taught = bool(recipe.all_teachers()) or strategy.brings_teacher
    for index, loss in enumerate(distill.losses):
        where = ("distill", "losses", index)
        if loss.needs_teacher and not taught:
            yield Problem(where, f"'{loss.method_name}' needs a teacher section")
        if loss.compares_layers() and several:
            yield Problem(where, f"'{loss.method_name}' compares inner layers of one teacher; the recipe has several")
    if several and distill.teacher_outputs == "recomputed":
        accepted = f"give 'cached', or {{crops: {distill.train.epochs}}} for new crops in every epoch"
        yield Problem(
            ("distill", "teacher_outputs"), f"several teachers are read from their cached outputs; {accepted}"
        )
    if not several and "ensemble" in distill.model_fields_set:
        yield Problem(("distill", "ensemble"), "there is one teacher at most; an ensemble needs 'teachers'")
    if distill.ensemble == "confidence" and any("weight" in section.model_fields_set for section in recipe.teachers):
        yield Problem(("distill", "ensemble"), "'confidence' weighs the teachers itself; leave their weights out")
    if distill.baselines and not taught:
        yield Problem(("distill", "baselines"), "baselines compare with a teacher; there is no teacher section")
    elif "quantized_teacher" in distill.baselines and recipe.teacher is None:
        yield Problem(("distill", "baselines"), "'quantized_teacher' quantizes the one network of a teacher section")
    if "quantized_teacher" in distill.baselines and recipe.compress is None:
        yield Problem(("distill", "baselines"), "'quantized_teacher' needs a compress section")
    for reason in strategy.reasons(recipe):
        yield Problem(("distill", "strategy", strategy.method_name), reason)


def teachers(recipe: Recipe) -> Iterator[tuple[Location, ModelSection]]:
    """The recipe's teachers, and where they stand."""
    if recipe.teacher is not None:
        yield ("teacher",), recipe.teacher
    for index, section in enumerate(recipe.teachers):
        yield ("teachers", index), section


def _kind_problems(recipe: Recipe) -> Iterator[Problem]:
    """Models that cannot read the data, and trainings that do not fit its task."""
    data, distill = recipe.data, recipe.distill
    kind = data.reader.kind
    for where, section in (*teachers(recipe), (("student",), recipe.student)):
        model = section.model
        if model.kind not in ("any", kind):
            yield Problem((*where, "model"), f"'{model.method_name}' reads {model.kind}s, the data are {kind}s")
        elif kind == "text" and (reason := model.misfit(data.task, data.max_length)):
            yield Problem((*where, "model", model.method_name), reason)
        if section.train is not None and data.task == "embedding":
            yield Problem((*where, "train"), "labels train classes; a teacher of embeddings is used as it is")
        if section.train is not None and section.train.augment and kind == "text":
            yield Problem((*where, "train", "augment"), "crops and flips are for images")
    trained = [((*where, "train"), section.train) for where, section in teachers(recipe)]
    trained += [] if distill is None else [(("distill", "train"), distill.train)]
    for where, train in trained:
        if train is not None and data.size is not None and train.augment.crop_padding >= min(data.size):
            message = f"crops would be all padding: the images are {data.size[0]} x {data.size[1]} pixels"
            yield Problem((*where, "augment", "crop_padding"), message)
    if data.task == "embedding":
        yield from _importance_problems(recipe)
    if distill is None:
        return
    if distill.train.augment and kind == "text":
        yield Problem(("distill", "train", "augment"), "crops and flips are for images")
    if len(recipe.teachers) > 1 and data.task != "sequence_classification":
        yield Problem(("teachers",), "several teachers are mixed for classes of whole samples only; give one teacher")
    if data.task == "embedding":
        yield from _embedding_problems(recipe, distill)


def _length_problems(recipe: Recipe) -> Iterator[Problem]:
    """Lengths to time at that no sample has."""
    where, lengths, limit = ("benchmark", "sequence_lengths"), recipe.benchmark.sequence_lengths, recipe.data.max_length
    if lengths is not None and recipe.data.reader.kind == "image":
        yield Problem(where, "images have no lengths: leave it out")
    elif lengths is not None and max(lengths) > limit:
        yield Problem(where, f"data.max_length cuts texts at {limit} tokens, and {max(lengths)} is longer")


def _embedding_problems(recipe: Recipe, distill: DistillSection) -> Iterator[Problem]:
    """What needs classes, where the networks put out embeddings."""
    for index, loss in enumerate(distill.losses):
        if loss.compares_classes:
            yield Problem(("distill", "losses", index), f"'{loss.method_name}' compares classes; embeddings have none")
    if "student_alone" in distill.baselines:
        yield Problem(("distill", "baselines"), "'student_alone' learns classes; an embedding needs its teacher")


def _importance_problems(recipe: Recipe) -> Iterator[Problem]:
    """Of a student that starts from a teacher of embeddings, whether or not it is distilled afterwards."""
    for key in ("init", "prune"):
        if getattr(getattr(recipe.student, key), "importance", None) == "taylor":
            message = "'taylor' looks at a loss on classes, which embeddings do not have; give 'magnitude'"
            yield Problem(("student", key, "importance"), message)


def asks_dynamic(recipe: Recipe) -> CompressSection | None:
    """The compress section of a recipe whose INT8 files quantize activations at run time; None of others."""
    compress = recipe.compress
    return compress if compress and compress.method.dynamic and "int8" in recipe.export.precisions else None


def int8_formats(recipe: Recipe) -> list[str]:
    """The formats that the recipe's targets get INT8 files in; what does not exist is told by other rules."""
    found: dict[str, None] = {}
    for name in recipe.targets:
        with suppress(TargetError):
            found |= dict.fromkeys(Target.load(name).runs("int8", recipe.export.formats))
    return list(found)


def _dynamic_problems(recipe: Recipe) -> Iterator[Problem]:
    if asks_dynamic(recipe) is None:
        return
    for name in int8_formats(recipe):
        if not FORMATS.load(name).dynamic:
            message = (
                f"'{name}' cannot quantize activations at run time; leave it out of export.formats, or int8_static"
            )
            yield Problem(("compress", "method"), message)


def _file_problems(recipe: Recipe) -> Iterator[Problem]:
    for where, reader in readers(recipe):
        yield from _reader_problems(where, reader)
    sections: list[tuple[Location, ModelSection]] = [*teachers(recipe), (("student",), recipe.student)]
    for where, section in sections:
        if (path := section.weights_path()) is not None and not path.is_file():
            yield Problem(
                (*where, "weights"), f"there is no file {path}; accepted: a .safetensors or .pt file, or 'pretrained'"
            )


def readers(recipe: Recipe) -> Iterator[tuple[Location, Reader]]:
    """The recipe's readers, and where they stand."""
    yield ("data", "reader"), recipe.data.reader
    if (calibration := recipe.data.calibration.reader) is not None:
        yield ("data", "calibration", "reader"), calibration
    if recipe.distill is not None:
        strategy = recipe.distill.strategy
        for name, reader in strategy.readers().items():
            yield ("distill", "strategy", strategy.method_name, name), reader


def _reader_problems(where: Location, reader: Reader) -> Iterator[Problem]:
    try:
        for path in reader.sources():
            if not path.exists():
                yield Problem((*where, reader.method_name), f"there is no file or folder {path}")
    except MissingBackend as error:
        yield Problem((*where, reader.method_name), one_line(error))
