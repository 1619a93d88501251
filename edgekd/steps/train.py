"""Steps: networks that learn from labels, their cached outputs, and networks that learn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.backends import versions
from edgekd.distill import LOSSES, DistillSection, Loss, train
from edgekd.distill.ensemble import EnsembleCache, shares_of
from edgekd.models import ModelSection, TeacherSection, load, model_key
from edgekd.steps.context import Context
from edgekd.steps.data import READING, PreparedData
from edgekd.steps.networks import FloatModel
from edgekd.store import Entry, source_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgekd.data.dataset import Dataset
    from edgekd.distill.teacher_cache import TeacherCache

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Lesson:
    """How one student learns.

    Attributes:
        data: what it trains on.
        student: its architecture, and where its weights start.
        losses: the terms of the total loss.
        teachers: whose outputs the losses look at; none for hard labels alone.
        seed: of its fresh weights, batch order and augmentation.
        shares: `(M, N)` say of each of M teachers in each sample; None: as `distill.ensemble` has it.
        origin: the network that `init` or `prune` starts the student from; None for a student that starts on its own.
    """

    data: PreparedData
    student: ModelSection
    losses: Sequence[Loss]
    teachers: Sequence[FloatModel]
    seed: int
    shares: NDArray[np.float32] | None = None
    origin: FloatModel | None = None

    def start(self) -> dict[str, Any] | None:
        """What decides the student's first weights where they are made of a teacher's; None for one that is fresh."""
        if self.origin is None:
            return None
        how = self.student.model_dump(mode="json", include={"init", "prune"})
        return {"how": how, "teacher": self.origin.key()}

    def ensemble(self, section: DistillSection) -> dict[str, Any] | None:
        """What decides how several teachers are mixed; None for fewer than two."""
        if len(self.teachers) < 2:
            return None
        if self.shares is not None:
            return {"shares": hashlib.sha256(self.shares.tobytes()).hexdigest()}
        return {"mixed": section.ensemble, "weights": [teacher_weight(one.section) for one in self.teachers]}


def teacher_weight(section: ModelSection) -> float:
    """A teacher's say among several; 1 where the recipe gives none."""
    return section.weight if isinstance(section, TeacherSection) else 1.0


def _inputs(data: PreparedData, section: ModelSection, seed: int) -> dict[str, Any]:
    return {
        "model": model_key(section),
        "data": data.digest,
        "seed": seed,
        "code": source_digest("edgekd.models", "edgekd.distill", *READING),
        "versions": versions("torch", "numpy"),
    }


def open_model(section: ModelSection, entry: Entry, data: Dataset, seed: int) -> nn.Module:
    """The network of a training step with the weights that the step stored, in eval mode."""
    from edgekd.models.checkpoint import load_into, read_tensors
    from edgekd.models.narrow import shrink_to

    bare = section.model_copy(update={"weights": None, "train": None})
    model = load(bare, len(data.classes), data.preprocess.channels, seed)
    path = entry.folder / WEIGHTS
    tensors = read_tensors(path)
    if section.prune is not None:
        shrink_to(model, tensors)
    load_into(model, tensors, path)
    return model.eval()


def train_teacher(context: Context, data: PreparedData, section: ModelSection, role: str = "teacher") -> Entry:
    """A network with its weights as given, fine-tuned on the labels when its section says so."""
    settings, seed = section.train, context.recipe.seed
    inputs = {**_inputs(data, section, seed), "train": None if settings is None else settings.key()}

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.models.checkpoint import save

        arrays = data.open()
        model = load(section, len(arrays.classes), arrays.preprocess.channels, seed)
        history: Mapping[str, Any] = {}
        if settings is not None:
            context.progress.note(f"{role}: training")
            losses, work = [LOSSES.parse("ce")], folder / "resume"
            history = train(model, arrays, settings, losses, seed=seed, work=work, progress=context.progress)
        save(model, folder / WEIGHTS)
        return {"training": history or None}

    return context.store.get("teacher", inputs, build)


def cache_teacher(context: Context, data: PreparedData, teacher: FloatModel, seed: int) -> Entry | None:
    """A teacher's outputs on the training split, or None when the recipe recomputes them."""
    section = context.recipe.distill
    if section is None or section.cached_crops() is None:
        return None
    inputs = {
        "teacher": teacher.key(),
        "data": data.digest,
        "seed": seed,
        "outputs": section.cache_key(),
        "code": source_digest("edgekd.distill", "edgekd.models", *READING),
        "versions": versions("torch", "numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.distill.teacher_cache import TeacherCache

        arrays = data.open()
        model = open_model(teacher.section, teacher.entry, arrays, seed)
        TeacherCache.write(folder, model, arrays, section, seed=seed, progress=context.progress)
        return {}

    return context.store.get("teacher_outputs", inputs, build)


def train_student(context: Context, lesson: Lesson, role: str = "student") -> Entry:
    """A student after its lesson; without a distill section, its weights as they are."""
    section, data = context.recipe.distill, lesson.data
    outputs = [cache_teacher(context, data, teacher, lesson.seed) for teacher in lesson.teachers]
    cached = [entry for entry in outputs if entry is not None]
    inputs = {**_inputs(data, lesson.student, lesson.seed), "start": lesson.start()}
    if section is not None:
        inputs["train"] = section.train.key()
        inputs["losses"] = [loss.model_dump(mode="json") for loss in lesson.losses]
        inputs["teachers"] = [teacher.key() for teacher in lesson.teachers]
        inputs["outputs"] = [entry.digest for entry in cached]
        inputs["ensemble"] = lesson.ensemble(section)

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.models.checkpoint import save

        arrays = data.open()
        model, started = _start(context, lesson, arrays, role)
        history: Mapping[str, Any] = {}
        if section is not None:
            how = "distilling" if lesson.teachers else "training without a teacher"
            context.progress.note(f"{role}: {how}")
            teacher, cache = _teaching(section, lesson, arrays, cached)
            history = train(
                model,
                arrays,
                section.train,
                lesson.losses,
                seed=lesson.seed,
                work=folder / "resume",
                progress=context.progress,
                teacher=teacher,
                cache=cache,
            )
        save(model, folder / WEIGHTS)
        return {"training": history or None, "start": started}

    return context.store.get("student", inputs, build)


def _start(context: Context, lesson: Lesson, arrays: Dataset, role: str) -> tuple[nn.Module, dict[str, Any] | None]:
    """The student before its training, and what it took from the network that it starts from."""
    student, origin = lesson.student, lesson.origin
    model = load(student, len(arrays.classes), arrays.preprocess.channels, lesson.seed)
    if origin is None:
        return model, None
    from edgekd.models.start import described, start

    opened = open_model(origin.section, origin.entry, arrays, lesson.seed)
    model, facts = start(student, model, opened, arrays, lesson.seed)
    context.progress.note(f"{role}: {described(facts)}")
    return model, facts


def _teaching(
    section: DistillSection, lesson: Lesson, arrays: Dataset, cached: Sequence[Entry]
) -> tuple[nn.Module | None, TeacherCache | EnsembleCache | None]:
    """What the losses look at: the cached outputs, the teacher itself where that is not enough, or neither."""
    from edgekd.distill.teacher_cache import TeacherCache

    caches = [TeacherCache.open(entry.folder) for entry in cached]
    if len(caches) > 1:
        shares = lesson.shares
        if shares is None and section.ensemble == "weighted":
            shares = shares_of([teacher_weight(teacher.section) for teacher in lesson.teachers])
        return None, EnsembleCache(caches, shares, arrays.labels)
    cache = caches[0] if caches else None
    if not lesson.teachers or (cache is not None and not section.needs_teacher_online()):
        return None, cache
    teacher = lesson.teachers[0]
    return open_model(teacher.section, teacher.entry, arrays, lesson.seed), cache
