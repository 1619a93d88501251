"""The pipeline: the stages in order. Every step looks in the store first, so an unchanged part costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from edgekd.errors import BenchmarkError, EdgekdError, ExportError, GateFailure, StoreError, one_line
from edgekd.lock import held
from edgekd.recipe import Recipe
from edgekd.report import write
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData, prepare_data
from edgekd.steps.document import Made, document
from edgekd.steps.export import Variant
from edgekd.steps.make import make
from edgekd.steps.networks import FloatModel
from edgekd.steps.probe import plan, probe
from edgekd.steps.safeguards import after_teaching, before_teaching
from edgekd.steps.school import School
from edgekd.target import Target
from edgekd.tune.found import found_for

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
        ExportError: the untrained student cannot be exported to any format, and nothing was trained; or everything
            else was made and written, and a file could not be made.
        BenchmarkError: every file was made, the report is written, and a runtime failed or died of a file.
        GateFailure: everything was made and written, and a gate was breached.
        StoreError: the folder cannot be written, or another run is at it.
    """
    _writable(out)
    with held(out):
        return _run(context, out, targets, until)


def _run(context: Context, out: Path, targets: Sequence[Target], until: Until) -> Result:
    data = prepare_data(context)
    known = {} if until == "distill" else probe(context, len(data.entry.info["classes"]), targets)
    school = train_models(context, data)
    models = school.models
    if until == "distill":
        return Result(out, None, {})
    wanted = [variant for target in targets for variant in variants(context.recipe, models, target)]
    made = [make(context, data, variant, out / variant.path, until, known) for variant in wanted]
    if until != "report":
        _raise_at_end(made)
        return Result(out, None, {})
    search = found_for(out, context.recipe, data.digest, school.teachers, context.progress.note)
    numbers = document(context, school, made, targets, search)
    reports = write(numbers, out)
    try:
        _raise_at_end(made, numbers["gates"], reports)
    except EdgekdError as error:
        error.document = numbers
        raise
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


def variants(recipe: Recipe, models: Sequence[FloatModel], target: Target) -> Iterator[Variant]:
    """What to make for a target of the trained networks."""
    for role, format_name, precision in plan(recipe, target):
        source = next(model for model in models if model.role == role)
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


def _raise_at_end(
    made: Sequence[Made], gates: Sequence[dict[str, Any]] = (), reports: Mapping[str, Path] = MappingProxyType({})
) -> None:
    """Files that failed decide the exit code, those that could not be made first; breached gates are told with them."""
    failed = [(item.variant.path, item.failed) for item in made if item.failed is not None]
    breached = [row for row in gates if row["passed"] is False]
    if not failed and not breached:
        return
    died = all(isinstance(error, BenchmarkError) for _, error in failed)
    kind = GateFailure if not failed else BenchmarkError if died else ExportError
    told = [f"{len(failed)} of {len(made)} files failed"] if failed else []
    told += [f"{len(breached)} of {len(gates)} gates breached"] if breached else []
    rows = [f"{path}: {one_line(error)}" for path, error in failed]
    rows += [f"{row['where']}: {_figures(row)}" for row in breached]
    kept = f"look at {reports['html']}; everything" if "html" in reports else "everything else"
    raise kind(" and ".join(told), where="\n            ".join(rows), hint=f"{kept} that was made is kept there")


def _figures(gate: dict[str, Any]) -> str:
    if gate["value"] is None:
        return f"{gate['gate']}: {gate['reason']}"
    return f"{gate['gate']} is {gate['value']:.4g} {gate['unit']}, the limit is {gate['limit']:g}"
