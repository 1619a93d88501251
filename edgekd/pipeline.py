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
from edgekd.steps.document import Made, document
from edgekd.steps.export import Variant, describe, export_files, place_artifact, rules_for
from edgekd.steps.networks import FloatModel
from edgekd.steps.safeguards import after_teaching, before_teaching
from edgekd.steps.school import School
from edgekd.steps.verify import measure, verify
from edgekd.target import Target
from edgekd.tune.found import found_for

QUANTIZED: Sequence[Precision] = ("int8",)
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
    school = train_models(context, data)
    models = school.models
    if until == "distill":
        return Result(out, None, {})
    if until == "compress":
        for variant in (variant for target in targets for variant in variants(context.recipe, models, target)):
            if variant.precision == "int8":
                describe(context, data, variant.source, rules_for(variant.target, variant.format_name))
        return Result(out, None, {})
    made = list(make_artifacts(context, data, models, out, targets, check=until == "report"))
    if until == "export":
        return Result(out, None, {})
    search = found_for(out, context.recipe, data.digest, school.teachers, context.progress.note)
    numbers = document(context, school, made, targets, search)
    reports = write(numbers, out)
    _raise_on_breach(numbers, reports)
    return Result(out, numbers, reports)


def train_models(context: Context, data: PreparedData) -> School:
    """Teachers, student, what its strategy trains on the way, and baselines; each is scored on the test split."""
    school, distill = School(context, data), context.recipe.distill
    school.hire()
    if distill is None:
        school.teach("student", school.student, school.teachers)
        return school
    for warning in before_teaching(context, data, school.teachers):
        school.warn(warning)
    distill.strategy.run(school)
    if "student_alone" in distill.baselines:
        school.alone("student_alone")
    for warning in after_teaching(context, data, school.models):
        school.warn(warning)
    return school


def make_artifacts(
    context: Context,
    data: PreparedData,
    models: Sequence[FloatModel],
    out: Path,
    targets: Sequence[Target],
    *,
    check: bool,
) -> Iterator[Made]:
    """Every artifact: exported, placed in the run's folder, verified, and timed where this machine is its target."""
    for variant in (variant for target in targets for variant in variants(context.recipe, models, target)):
        folder = out / variant.target.name / variant.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        files = export_files(context, data, variant)
        artifact = place_artifact(context, data, variant, files, folder)
        if check:
            verification = verify(context, data, variant, artifact, folder)
            measurement = measure(context, data, variant, artifact, folder)
            path = f"{variant.target.name}/{variant.name}"
            misfits = variant.target.check(artifact)
            yield Made(artifact, path, verification, measurement, variant.source, misfits)


def variants(recipe: Recipe, models: Sequence[FloatModel], target: Target) -> Iterator[Variant]:
    """What to make for a target: the student in the recipe's formats, or in those the target prefers and runs.

    The quantized-teacher baseline comes in INT8 only: its float accuracy is the teacher's own.
    """
    asked = "precisions" in recipe.export.model_fields_set or recipe.compress is not None
    precisions: Sequence[Precision] = recipe.export.precisions if asked else ["float32"]
    formats = recipe.export.formats or target.format_names()
    baseline = recipe.distill is not None and "quantized_teacher" in recipe.distill.baselines
    for role in ("student", "teacher") if baseline else ("student",):
        source = next(model for model in models if model.role == role)
        for format_name in formats:
            for precision in precisions if role == "student" else QUANTIZED:
                if not target.format_reasons(format_name, precision):
                    yield Variant(source, target, format_name, precision)


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
        rows = [f"{row['where']}: {_figures(row)}" for row in breached]
        raise GateFailure(
            f"{len(breached)} of {len(numbers['gates'])} gates breached",
            where="\n            ".join(rows),
            hint=f"look at {reports.get('html', 'the report')}; everything that was made is kept there",
        )


def _figures(gate: dict[str, Any]) -> str:
    if gate["value"] is None:
        return f"{gate['gate']}: {gate['reason']}"
    return f"{gate['gate']} is {gate['value']:.4g} {gate['unit']}, the limit is {gate['limit']:g}"
