"""Step: what the teacher's answers on the validation split warn of, before and after it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.backends import versions
from edgekd.distill.safeguards import Teaching, early_warnings, late_warnings
from edgekd.models import ModelSection, load, model_key, parameter_count
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.train import open_model
from edgekd.store import Entry, source_digest

LOGITS = "logits.npy"
CALLED = {"student": "the distilled student", "student_alone": "the student trained alone"}


def before_teaching(context: Context, data: PreparedData, teacher: Entry) -> list[str]:
    """Warnings about the pair of teacher and student, and the losses' temperatures; none when nothing is distilled."""
    section, distill = context.recipe.teacher, context.recipe.distill
    if section is None or distill is None or not any(loss.needs_teacher for loss in distill.losses):
        return []
    return early_warnings(_teaching(context, data, section, teacher), distill.losses)


def after_teaching(context: Context, data: PreparedData, trained: Mapping[str, Entry]) -> list[str]:
    """Warnings about a teacher that is no better than its students, by role; none without one."""
    trainings = {name: trained[role].info.get("training") for role, name in CALLED.items() if role in trained}
    scores = {name: training["best_validation_accuracy"] for name, training in trainings.items() if training}
    section = context.recipe.teacher
    if section is None or "teacher" not in trained or not scores:
        return []
    teaching = _teaching(context, data, section, trained["teacher"])
    return late_warnings(teaching.accuracy, scores, len(teaching.labels))


def _teaching(context: Context, data: PreparedData, section: ModelSection, teacher: Entry) -> Teaching:
    """The teacher's validation logits and both networks' sizes, computed once."""
    recipe = context.recipe
    inputs = {
        "teacher": teacher.digest,
        "model": model_key(section),
        "student": model_key(recipe.student),
        "data": data.digest,
        "code": source_digest("edgekd.models", "edgekd.distill", "edgekd.steps.safeguards"),
        "versions": versions("torch", "numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.distill import predict

        arrays = data.open()
        network = open_model(section, teacher, arrays, recipe.seed)
        np.save(folder / LOGITS, predict(network, arrays, arrays.indices("validation")))
        student = load(recipe.student, len(arrays.classes), arrays.preprocess.channels, recipe.seed)
        return {"parameters": parameter_count(network), "student_parameters": parameter_count(student)}

    entry, arrays = context.store.get("teaching", inputs, build), data.open()
    labels = arrays.labels[arrays.indices("validation")]
    return Teaching(np.load(entry.folder / LOGITS), labels, **entry.info)
