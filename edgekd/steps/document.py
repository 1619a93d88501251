"""Step: the report document, the one source of numbers, put together from what the other steps stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.artifact import Artifact
from edgekd.benchmark.machine import environment
from edgekd.benchmark.metrics import accuracy, agreement, mean_cosine, quality
from edgekd.errors import EdgekdError
from edgekd.export import FORMATS
from edgekd.gates import judge
from edgekd.report.compare import slower_than_float
from edgekd.report.document import TEACHING, Document
from edgekd.report.recall import blind_spots
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.evaluate import CENTROIDS, class_logits, test_logits
from edgekd.steps.export import Variant
from edgekd.steps.networks import Ensemble, FloatModel
from edgekd.steps.school import School
from edgekd.steps.verify import LOGITS
from edgekd.store import Entry
from edgekd.target import Target

MISFIT = "fits_target"
"""The gate of a file that its board cannot run."""
FAILED = "the file failed; the reason is among the failed files"


@dataclass(frozen=True)
class Made:
    """A variant, as far as it came: its artifact in the run's folder, what was found out, and what ended it."""

    variant: Variant
    artifact: Artifact | None = None
    verification: Entry | None = None
    measurement: Entry | str | None = None
    failed: EdgekdError | None = None

    @property
    def misfits(self) -> list[str]:
        """Why the file does not fit its board."""
        return [] if self.artifact is None else self.variant.target.check(self.artifact)


def document(
    context: Context,
    school: School,
    made: Sequence[Made],
    targets: Sequence[Target],
    search: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The report document (see `edgekd.report.document`); `search` is that part of it."""
    models: list[FloatModel | Ensemble] = [*school.models, *school.bounds]
    teacher = next((model for role in TEACHING for model in models if model.role == role), None)
    data = school.data
    facts = data.entry.info
    artifacts = [_artifact_row(data, item, teacher) for item in made]
    boards = [_target_row(target) for target in targets]
    here = {board["name"]: board["this_machine"] for board in boards}
    gates = [_misfit_row(item) for item in made if item.misfits]
    for item, artifact in zip(made, artifacts, strict=True):
        reached = item.variant.source.evaluation.info["accuracy"]
        gates += judge(context.recipe.gates, artifact, reached, is_host=here[artifact["target"]])
    numbers: dict[str, Any] = {
        "report_version": 1,
        "name": context.recipe.name,
        "recipe": context.raw,
        "environment": environment(),
        "data": facts,
        "models": [_model_row(data, model, teacher) for model in models],
        "temperatures": [] if teacher is None else teacher.evaluation.info["temperatures"] or [],
        "temperature_max_entropy_bits": log2(len(facts["classes"])),
        "artifacts": artifacts,
        "gates": gates,
        "targets": boards,
        "search": search,
        "forgetting": school.forgetting(),
        "warnings": [
            *context.recipe.warnings(),
            *school.warnings,
            *facts["warnings"],
            *facts["calibration"]["warnings"],
        ],
    }
    parsed = Document.parse(numbers)
    numbers["warnings"] += [*blind_spots(parsed), *slower_than_float(parsed)]
    return numbers


def _model_row(
    data: PreparedData, model: FloatModel | Ensemble, teacher: FloatModel | Ensemble | None
) -> dict[str, Any]:
    info, training = model.evaluation.info, model.training
    return {
        "role": model.role,
        "name": model.name,
        "parameters": info["parameters"],
        "macs": info["macs"],
        "macs_tokens": info["macs_tokens"],
        "size_bytes": info["size_bytes"],
        "accuracy": None
        if info["accuracy"] is None
        else {"value": info["accuracy"], "samples": info["samples"], "split": "test"},
        **_compared(data, model.evaluation, test_logits(model.evaluation), teacher),
        "history": None if training is None else training["epochs"],
        "steps": None if training is None else len(training["epochs"]) * training["steps_per_epoch"],
    }


def _compared(
    data: PreparedData, evaluation: Entry, outputs: NDArray[Any], teacher: FloatModel | Ensemble | None
) -> dict[str, Any]:
    """Quality and agreement with the teacher of a network's or a file's outputs on the test split."""
    logits, labels = class_logits(data, evaluation, outputs)
    if not len(labels):
        return {"agreement_with_teacher": None, "quality": None}
    embeds = (evaluation.folder / CENTROIDS).is_file()
    found = quality(logits, labels, data.entry.info["classes"], probabilities=not embeds)
    if teacher is None:
        return {"agreement_with_teacher": None, "quality": found}
    theirs = test_logits(teacher.evaluation)
    if embeds and theirs.shape == outputs.shape:
        found["cosine_with_teacher"] = mean_cosine(outputs, theirs)
    agrees = agreement(class_logits(data, teacher.evaluation, theirs)[0], logits)
    return {"agreement_with_teacher": agrees, "quality": found}


def _artifact_row(data: PreparedData, item: Made, teacher: FloatModel | Ensemble | None) -> dict[str, Any]:
    variant, artifact, measured = item.variant, item.artifact, item.measurement
    row: dict[str, Any] = {
        "target": variant.target.name,
        "model": variant.source.role,
        "format": variant.format_name,
        "precision": variant.precision,
        "runtime": FORMATS.load(variant.format_name).runtime,
        "path": variant.path,
        "failed": None if item.failed is None else str(item.failed),
        "not_measured": measured if isinstance(measured, str) else None if item.failed is None else FAILED,
        **dict.fromkeys(("accuracy", "parity", "measurement")),
    }
    if artifact is not None:
        kept = {"quantization": artifact.quantization, "notes": artifact.notes}
        row |= {"size_bytes": model_size_bytes(artifact), **kept}
    if item.verification is not None:
        row |= _verified(data, variant.source, item.verification, teacher)
    if isinstance(measured, Entry):
        row["measurement"] = measured.info
    return row


def _verified(
    data: PreparedData, source: FloatModel, verification: Entry, teacher: FloatModel | Ensemble | None
) -> dict[str, Any]:
    """What a file's answers are worth, and how far they are from its network's."""
    logits, checked = np.load(verification.folder / LOGITS), verification.info
    scored, labels = class_logits(data, source.evaluation, logits)
    return {
        "accuracy": {
            "value": accuracy(scored, labels),
            "samples": len(labels),
            "arithmetic": checked["arithmetic"],
            "runtime": checked["runtime"],
        },
        **_compared(data, source.evaluation, logits, teacher),
        "parity": checked["parity"],
        "alone": checked["alone"],
    }


def _misfit_row(item: Made) -> dict[str, Any]:
    row = {"gate": MISFIT, "where": item.variant.path, "limit": None, "value": None, "unit": "", "passed": False}
    return {**row, "reason": "; ".join(item.misfits)}


def model_size_bytes(artifact: Artifact) -> int:
    """Size of the files that the runtime loads: the model, not the probe nor the scripts beside it."""
    stem = Path(artifact.entry).stem
    return sum(record.size_bytes for name, record in artifact.files.items() if Path(name).stem == stem)


def _target_row(target: Target) -> dict[str, Any]:
    reasons = target.matches_host()
    return {"name": target.name, "title": target.title, "this_machine": not reasons, "reasons": reasons}
