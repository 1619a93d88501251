"""Steps: the teacher, its cached outputs, the student, and the student trained alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.backends import versions
from edgekd.distill import DistillSection, train
from edgekd.errors import RecipeError
from edgekd.models import ModelSection, load, model_key
from edgekd.steps.context import Context
from edgekd.steps.data import READING, PreparedData
from edgekd.store import Entry, source_digest

if TYPE_CHECKING:
    from torch import nn

    from edgekd.data.dataset import Dataset
    from edgekd.distill.teacher_cache import TeacherCache

WEIGHTS = "model.safetensors"


def _inputs(context: Context, data: PreparedData, section: ModelSection) -> dict[str, Any]:
    return {
        "model": model_key(section),
        "data": data.digest,
        "seed": context.recipe.seed,
        "code": source_digest("edgekd.models", "edgekd.distill", *READING),
        "versions": versions("torch", "numpy"),
    }


def open_model(section: ModelSection, entry: Entry, data: Dataset, seed: int) -> nn.Module:
    """The network of a training step with the weights that the step stored, in eval mode."""
    from edgekd.models.checkpoint import load_into, read_tensors

    bare = section.model_copy(update={"weights": None, "train": None})
    model = load(bare, len(data.classes), data.preprocess.channels, seed)
    path = entry.folder / WEIGHTS
    load_into(model, read_tensors(path), path)
    return model.eval()


def train_teacher(context: Context, data: PreparedData) -> Entry | None:
    """The teacher: its weights as given, fine-tuned when the recipe says so."""
    section = context.recipe.teacher
    if section is None:
        return None
    settings = section.train
    inputs = {**_inputs(context, data, section), "train": None if settings is None else settings.key()}

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.distill.losses.ce import CrossEntropy
        from edgekd.models.checkpoint import save

        arrays = data.open()
        model = load(section, len(arrays.classes), arrays.preprocess.channels, context.recipe.seed)
        history: Mapping[str, Any] = {}
        if settings is not None:
            context.progress.note("teacher: training")
            work = folder / "resume"
            history = train(
                model,
                arrays,
                settings,
                [CrossEntropy()],
                seed=context.recipe.seed,
                work=work,
                progress=context.progress,
            )
        save(model, folder / WEIGHTS)
        return {"training": history or None}

    return context.store.get("teacher", inputs, build)


def cache_teacher(context: Context, data: PreparedData, teacher: Entry) -> Entry | None:
    """The teacher's outputs on the training split, or None when the recipe recomputes them."""
    section, recipe = context.recipe.distill, context.recipe
    if section is None or recipe.teacher is None or section.cached_crops() is None:
        return None
    inputs = {
        "teacher": teacher.digest,
        "model": recipe.teacher.model.model_dump(mode="json"),
        "identity": recipe.teacher.model.identity(),
        "data": data.digest,
        "seed": recipe.seed,
        "outputs": section.cache_key(),
        "code": source_digest("edgekd.distill", "edgekd.models", *READING),
        "versions": versions("torch", "numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.distill.teacher_cache import TeacherCache

        arrays = data.open()
        model = open_model(_teacher_section(context), teacher, arrays, recipe.seed)
        TeacherCache.write(folder, model, arrays, section, seed=recipe.seed, progress=context.progress)
        return {}

    return context.store.get("teacher_outputs", inputs, build)


def train_student(
    context: Context, data: PreparedData, teacher: Entry | None, outputs: Entry | None, *, alone: bool = False
) -> Entry:
    """The student: distilled as the recipe says, or (`alone`) trained equally long on hard labels only."""
    recipe = context.recipe
    section = recipe.distill
    inputs = _inputs(context, data, recipe.student)
    if section is not None:
        inputs["train"] = section.train.key()
        inputs["losses"] = "ce" if alone else [loss.model_dump(mode="json") for loss in section.losses]
        if not alone:
            inputs["teacher"] = None if recipe.teacher is None else recipe.teacher.model.model_dump(mode="json")
            # Not the weights alone: the same ones answer otherwise where a configuration file has other head counts.
            inputs["teacher_identity"] = None if recipe.teacher is None else recipe.teacher.model.identity()
            inputs["teacher_weights"] = None if teacher is None else teacher.digest
            inputs["outputs"] = None if outputs is None else outputs.digest

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.distill.losses.ce import CrossEntropy
        from edgekd.models.checkpoint import save

        arrays = data.open()
        model = load(recipe.student, len(arrays.classes), arrays.preprocess.channels, recipe.seed)
        history: Mapping[str, Any] = {}
        if section is not None:
            context.progress.note("student: training without the teacher" if alone else "student: distilling")
            teacher_model, cache = (None, None) if alone else _teaching(context, section, arrays, teacher, outputs)
            history = train(
                model,
                arrays,
                section.train,
                [CrossEntropy()] if alone else section.losses,
                seed=recipe.seed,
                work=folder / "resume",
                progress=context.progress,
                teacher=teacher_model,
                cache=cache,
            )
        save(model, folder / WEIGHTS)
        return {"training": history or None}

    return context.store.get("student", inputs, build)


def _teaching(
    context: Context, section: DistillSection, arrays: Dataset, teacher: Entry | None, outputs: Entry | None
) -> tuple[nn.Module | None, TeacherCache | None]:
    """What the losses look at: the cached outputs, the teacher itself where that is not enough, or neither."""
    from edgekd.distill.teacher_cache import TeacherCache

    cache = None if outputs is None else TeacherCache.open(outputs.folder)
    if teacher is None or (cache is not None and not section.needs_teacher_online()):
        return None, cache
    return open_model(_teacher_section(context), teacher, arrays, context.recipe.seed), cache


def _teacher_section(context: Context) -> ModelSection:
    if context.recipe.teacher is None:
        raise RecipeError("this step needs a teacher section", where="teacher")
    return context.recipe.teacher
