"""Step: what the teacher's answers on the validation split warn of, before and after it teaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.backends import versions
from edgekd.distill.safeguards import Teaching, early_warnings, late_warnings
from edgekd.models import load, model_key, parameter_count
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.networks import FloatModel
from edgekd.steps.train import open_model
from edgekd.store import source_digest

LOGITS, LABELS = "logits.npy", "labels.npy"
CALLED = {"student": "the distilled student", "student_alone": "the student trained alone"}


def before_teaching(context: Context, data: PreparedData, teachers: Sequence[FloatModel]) -> list[str]:
    """Warnings about a teacher and its student, and the losses' temperatures; none without the one teacher."""
    distill = context.recipe.distill
    if len(teachers) != 1 or distill is None or not any(loss.needs_teacher for loss in distill.losses):
        return []
    return early_warnings(_teaching(context, data, teachers[0]), distill.losses)


def after_teaching(context: Context, data: PreparedData, models: Sequence[FloatModel]) -> list[str]:
    """Warnings about a teacher that is no better than its students; none without one."""
    by_role = {model.role: model for model in models}
    found = {name: by_role[role].validation_accuracy for role, name in CALLED.items() if role in by_role}
    scores = {name: value for name, value in found.items() if value is not None}
    if "teacher" not in by_role or not scores:
        return []
    teaching = _teaching(context, data, by_role["teacher"])
    if not len(teaching.labels):
        return []
    return late_warnings(teaching.accuracy, scores, len(teaching.labels))


def _teaching(context: Context, data: PreparedData, teacher: FloatModel) -> Teaching:
    """The teacher's validation logits and both networks' sizes, computed once."""
    recipe = context.recipe
    inputs = {
        "teacher": teacher.key(),
        "student": model_key(recipe.student),
        "data": data.digest,
        "code": source_digest("edgekd.models", "edgekd.distill", "edgekd.steps.safeguards"),
        "versions": versions("torch", "numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.distill.centroids import scored
        from edgekd.distill.inference import predict

        arrays = data.open()
        network = open_model(teacher.section, teacher.entry, arrays, recipe.seed)
        # Embeddings are no soft labels: of them only the sizes are judged.
        validation = arrays.indices("validation")[: 0 if arrays.task == "embedding" else None]
        logits, labels = scored(arrays, predict(network, arrays, validation), validation, None)
        np.save(folder / LOGITS, logits)
        np.save(folder / LABELS, labels)
        student = load(recipe.student, len(arrays.classes), arrays.preprocess.channels, recipe.seed)
        return {"parameters": parameter_count(network), "student_parameters": parameter_count(student)}

    entry = context.store.get("teaching", inputs, build)
    return Teaching(np.load(entry.folder / LOGITS), np.load(entry.folder / LABELS), **entry.info)
