"""The command line: parse, call the library, print."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from edgekd.errors import EdgekdError, RecipeError

EPILOG = (
    "Exit codes: 0 done; 1 other error; 2 recipe or option; 3 data; 4 model; 5 missing package; 6 target; "
    "7 store or disk; 8 compression; 9 export, or a file of a run failed; 10 benchmark, or a runtime failed or died of "
    "a file of a run; 11 a gate was breached; 130 interrupted."
)
INTERRUPTED = 130  # what typer returns for Ctrl-C, and what shells report
CONTINUE = "interrupted; nothing is lost: run the same command again to continue"
app = typer.Typer(
    name="edgekd",
    help="Distil, compress, export and measure models for edge devices.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe; `edgekd new` writes one to start from.")]
TargetNames = Annotated[
    list[str] | None, typer.Option("--target", help="Only these targets (repeatable); `host` is this machine.")
]
Out = Annotated[Path | None, typer.Option("--out", help="The run's folder; by default runs/<name of the recipe file>.")]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", envvar="EDGEKD_STORE", help="Where stage results are kept; by default beside the run."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]


def _run(recipe: Path, targets: list[str] | None, out: Path | None, store: Path | None, quiet: bool, until: str) -> Any:
    from edgekd.pipeline import run
    from edgekd.progress import Progress
    from edgekd.recipe import load_recipe
    from edgekd.steps.context import Context
    from edgekd.store import Store
    from edgekd.target import Target

    loaded = load_recipe(recipe)
    folder = out or Path("runs") / recipe.stem
    progress = Progress(quiet=quiet)
    context = Context(loaded.recipe, loaded.raw, Store(store or folder.parent / ".store", progress.warn), progress)
    boards = [Target.load(name) for name in targets or loaded.recipe.targets]
    return run(context, folder, list({board.name: board for board in boards}.values()), until)  # pyright: ignore


@app.command("run")
def run_command(
    recipe: RecipeFile,
    target: TargetNames = None,
    out: Out = None,
    store: StoreFolder = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do everything: distil, compress, export, verify, benchmark, report. Resumes where it stopped."""
    _print(_run(recipe, target, out, store, quiet, "report"), json_)


def _print(result: Any, as_json: bool) -> None:
    print(json.dumps(result.document, indent=1) if as_json else "\n".join(map(str, result.reports.values())))


@app.command()
def check(
    recipe: Annotated[Path | None, typer.Argument(metavar="[RECIPE]")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a recipe, for editors.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also try to export the untrained student; seconds.")] = False,
) -> None:
    """Report every mistake in a recipe at once, before any work."""
    from edgekd.recipe import load_recipe, recipe_schema

    if schema:
        print(json.dumps(recipe_schema(), indent=1))
        return
    if recipe is None:
        raise RecipeError("which recipe?", accepted="edgekd check RECIPE, or edgekd check --schema")
    loaded = load_recipe(recipe, layers=True)
    for warning in loaded.recipe.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    if deep:
        from edgekd.steps.probe import check_export

        check_export(loaded.recipe)
    print(f"{recipe}: correct; targets: {', '.join(loaded.recipe.targets)}")


@app.command()
def distill(recipe: RecipeFile, out: Out = None, store: StoreFolder = None, quiet: Quiet = False) -> None:
    """Train teacher and student, and stop there."""
    _run(recipe, None, out, store, quiet, "distill")


@app.command()
def compress(
    recipe: RecipeFile, target: TargetNames = None, out: Out = None, store: StoreFolder = None, quiet: Quiet = False
) -> None:
    """Up to the quantization description of every target."""
    _run(recipe, target, out, store, quiet, "compress")


@app.command()
def export(
    recipe: RecipeFile, target: TargetNames = None, out: Out = None, store: StoreFolder = None, quiet: Quiet = False
) -> None:
    """Up to the exported files, without verifying or timing them."""
    _run(recipe, target, out, store, quiet, "export")


@app.command()
def tune(
    recipe: RecipeFile,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Trials to reach; by default as the recipe says.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that do trials at the same time.")] = 1,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, metavar="MINUTES", help="No trial starts after this time.")
    ] = None,
    out: Out = None,
    store: StoreFolder = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search the values of the recipe's `search` section, then do everything with the best ones. Resumes."""
    from edgekd.progress import Progress
    from edgekd.recipe import load_recipe
    from edgekd.tune import tune as run

    folder = out or Path("runs") / recipe.stem
    kept, progress = store or folder.parent / ".store", Progress(quiet=quiet)
    result = run(load_recipe(recipe), folder, kept, progress, trials=trials, workers=workers, minutes=timeout)
    _print(result, json_)


@app.command()
def bench(
    artifact: Annotated[Path, typer.Argument(help="An artifact's folder, or a folder of them.")],
    batch: Annotated[
        list[int] | None, typer.Option("--batch", min=1, help="Batch size (repeatable); by default 1.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", min=1, help="Threads (repeatable); by default 1 and 2.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=2, help="Timed inferences, at least.")] = 100,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure latency and memory of artifacts again, on this machine."""
    from edgekd.benchmark import BenchmarkSection
    from edgekd.progress import Progress
    from edgekd.steps.again import measure_again, table

    section = BenchmarkSection(batch_sizes=batch or [1], threads=threads or [1, 2], runs=runs)
    rows = measure_again(artifact, section, Progress(quiet=quiet))
    print(json.dumps(rows, indent=1) if json_ else table(rows))


@app.command()
def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")]) -> None:
    """Render a run's report again: HTML, Markdown, JSON."""
    from edgekd.steps.again import render_again

    for path in render_again(run).values():
        print(path)


@app.command()
def targets(name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None, json_: Json = False) -> None:
    """List the board profiles, or show one and whether this machine is it."""
    from edgekd.listing import target_details, target_table
    from edgekd.target import Target

    if name is None:
        print(json.dumps(Target.names()) if json_ else target_table())
    else:
        found = Target.load(name)
        print(found.model_dump_json(indent=1) if json_ else target_details(found))


@app.command()
def methods(
    family: Annotated[str | None, typer.Argument(metavar="[FAMILY]")] = None,
    find: Annotated[
        str | None, typer.Option("--find", metavar="WORDS", help="Only methods whose description has these words.")
    ] = None,
    json_: Json = False,
) -> None:
    """List what a recipe can name, with its papers: losses, compressors, formats, readers, models and more."""
    from edgekd.catalogue import families, method_table

    chosen = families(family, find)
    print(json.dumps(chosen, indent=1) if json_ else method_table(chosen))


@app.command()
def doctor(json_: Json = False) -> None:
    """Tell what this machine is and which optional packages are installed."""
    from edgekd.listing import diagnosis, diagnosis_table

    found = diagnosis()
    print(json.dumps(found, indent=1) if json_ else diagnosis_table(found))


@app.command()
def new(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A shipped recipe; without it, they are listed.")
    ] = None,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Write a shipped recipe to start from."""
    from edgekd.listing import shipped_recipes, write_recipe

    if name is None:
        print("\n".join(f"{found:<12} {summary}" for found, summary in shipped_recipes().items()))
    else:
        print(write_recipe(name, file or Path(f"{name}.yaml"), force=force))


def main() -> None:
    """Entry point: no traceback for a user's mistake, a documented exit code for each kind."""
    # libgomp spins for minutes by default: on a machine that does anything else, training gets ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        stopped = app(standalone_mode=False) == INTERRUPTED
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        stopped = True
    except BrokenPipeError:
        _silence()
        raise SystemExit(141) from None
    except Exception as error:
        _end(error)
        _answer(error, EdgekdError.exit_code)
        raise
    if stopped:
        _fail(EdgekdError(CONTINUE), INTERRUPTED)


def _end(error: Exception) -> None:
    """Ends the program for what is no defect."""
    from edgekd.boundary import explained

    if hasattr(error, "format_message"):  # click's usage errors: typer re-exports no public base class
        _fail(RecipeError(error.format_message()), RecipeError.exit_code)  # pyright: ignore
    if (told := explained(error)) is not None:
        _fail(told, told.exit_code)


def _fail(error: EdgekdError, code: int) -> None:
    """Says it on stderr; with --json, what there is also on stdout, which programs read."""
    print(f"error: {error}", file=sys.stderr)
    _answer(error, code, error.document)
    _silence()
    raise SystemExit(code)


def _answer(error: Exception, code: int, document: dict[str, Any] | None = None) -> None:
    """With --json, the document or what went wrong on stdout: of a defect, too, whose traceback goes to stderr."""
    if "--json" in sys.argv[1:]:
        told = document or {"error": {"kind": type(error).__name__, "exit_code": code, "message": str(error)}}
        with suppress(OSError):
            print(json.dumps(told, indent=1), flush=True)


def _silence() -> None:
    """Nothing more goes to stdout: what could not be written there would be tried once more at the end."""
    with suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
