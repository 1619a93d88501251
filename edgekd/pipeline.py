"""The pipeline: the stages in order. Every step looks in the store first, so an unchanged part costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgekd.errors import GateFailure, StoreError
from edgekd.export.format import Precision
from edgekd.recipe import Recipe
from edgekd.report import write
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData, prepare_data
from edgekd.steps.document import FloatModel, Made, document
from edgekd.steps.evaluate import evaluate
from edgekd.steps.export import Source, describe, export_files, place_artifact, rules_for
from edgekd.steps.train import cache_teacher, train_student, train_teacher
from edgekd.steps.verify import measure, verify
from edgekd.target import Target

Until = Literal["distill", "compress", "export", "report"]


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes:
        folder: the run's folder.
        document: the report document; None when the run stopped before the report.
        reports: rendering name to file.
    """

    folder: Path
    document: dict[str, Any] | None
    reports: dict[str, Path]


def run(context: Context, out: Path, targets: Sequence[Target], until: Until = "report") -> Result:
    """Teacher and data in; distilled, quantized, exported, verified, measured and reported artifacts out.

    Raises:
        GateFailure: everything was made and written, and a gate was breached.
    """
    _writable(out)
    data = prepare_data(context)
    models = train_models(context, data)
    if until == "distill":
        return Result(out, None, {})
    if until == "compress":
        for target in targets:
            for format_name, precision in variants(context.recipe, target):
                if precision == "int8":
                    describe(context, data, _student(models), rules_for(target, format_name))
        return Result(out, None, {})
    made = list(make_artifacts(context, data, models, out, targets, check=until == "report"))
    if until == "export":
        return Result(out, None, {})
    numbers = document(context, data, models, made, targets)
    reports = write(numbers, out)
    _raise_on_breach(numbers, reports)
    return Result(out, numbers, reports)


def train_models(context: Context, data: PreparedData) -> list[FloatModel]:
    """Teacher, student and asked-for baselines, each evaluated on the test split."""
    recipe = context.recipe
    models: list[FloatModel] = []
    teacher = train_teacher(context, data)
    outputs = None
    if teacher is not None and recipe.teacher is not None:
        evaluation = evaluate(context, data, recipe.teacher, teacher, temperatures=True)
        models.append(FloatModel("teacher", recipe.teacher, teacher, evaluation))
        outputs = cache_teacher(context, data, teacher)
    student = train_student(context, data, teacher, outputs)
    models.append(FloatModel("student", recipe.student, student, evaluate(context, data, recipe.student, student)))
    if recipe.distill is not None and "student_alone" in recipe.distill.baselines:
        alone = train_student(context, data, None, None, alone=True)
        models.append(FloatModel("student_alone", recipe.student, alone, evaluate(context, data, recipe.student, alone)))
    return models


def make_artifacts(
    context: Context, data: PreparedData, models: Sequence[FloatModel], out: Path, targets: Sequence[Target], *, check: bool
) -> Iterator[Made]:
    """Every artifact: exported, placed in the run's folder, verified, and timed where this machine is its target."""
    recipe = context.recipe
    sources = [_student(models)]
    if recipe.distill is not None and "quantized_teacher" in recipe.distill.baselines:
        sources.append(_source(models, "teacher"))
    for target in targets:
        for source in sources:
            for format_name, precision in variants(recipe, target):
                if source.role == "teacher" and precision == "float32":
                    continue
                name = f"{format_name}-{precision}" if source.role == "student" else f"teacher-{format_name}-{precision}"
                folder = out / target.name / name
                files = export_files(context, data, source, target, format_name, precision)
                folder.parent.mkdir(parents=True, exist_ok=True)
                artifact = place_artifact(context, data, source, target, format_name, precision, files, folder)
                if not check:
                    continue
                verification = verify(context, data, source.evaluation, artifact, folder, target)
                measurement = measure(context, data, artifact, folder, target)
                reference = next(model for model in models if model.role == source.role)
                yield Made(artifact, f"{target.name}/{name}", verification, measurement, reference)


def variants(recipe: Recipe, target: Target) -> Iterator[tuple[str, Precision]]:
    """Every format and precision to make for a target: the recipe's choice, or what the target prefers and runs."""
    asked = "precisions" in recipe.export.model_fields_set or recipe.compress is not None
    for format_name in recipe.export.formats or target.format_names():
        for precision in recipe.export.precisions if asked else ("float32",):
            if not target.format_reasons(format_name, precision):
                yield format_name, precision


def _student(models: Sequence[FloatModel]) -> Source:
    return _source(models, "student")


def _source(models: Sequence[FloatModel], role: Literal["student", "teacher"]) -> Source:
    model = next(model for model in models if model.role == role)
    return Source(role, model.section, model.entry, model.evaluation)


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"the output folder cannot be written: {error.strerror}", where=out, hint="choose another with --out"
        ) from error


def _raise_on_breach(numbers: dict[str, Any], reports: dict[str, Path]) -> None:
    breached = [row for row in numbers["gates"] if row["passed"] is False]
    if breached:
        rows = [f"{row['where']}: {row['gate']} is {row['value']:.4g} {row['unit']}, the limit is {row['limit']:g}" for row in breached]
        raise GateFailure(
            f"{len(breached)} of {len(numbers['gates'])} gates breached",
            where="\n            ".join(rows),
            hint=f"look at {reports.get('html', 'the report')}; everything that was made is kept there",
        )
