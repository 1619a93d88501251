"""Measure artifacts again, and render a run's report again with what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekd.artifact import MANIFEST, Artifact
from edgekd.benchmark import BenchmarkSection, benchmark
from edgekd.errors import StoreError
from edgekd.gates import GatesSection, judge
from edgekd.progress import Progress
from edgekd.report import read, write
from edgekd.report.compare import slower_than_float
from edgekd.report.document import Document
from edgekd.steps.document import MISFIT
from edgekd.steps.export import PROBE_IMAGES, PROBE_OFFSETS, PROBE_TOKENS
from edgekd.store import write_atomically
from edgekd.target import Target

MEASUREMENT = "measurement.json"


def artifact_folders(path: Path) -> list[Path]:
    """The artifact at `path`, or every artifact below it.

    Raises:
        StoreError: there is none.
    """
    found = sorted(manifest.parent for manifest in path.rglob(MANIFEST) if not manifest.parent.name.startswith("."))
    if not found:
        raise StoreError(
            "there is no artifact here",
            where=path,
            accepted="the folder of an artifact, of a target, or of a run",
            hint="edgekd run RECIPE makes them",
        )
    return found


def measure_again(path: Path, section: BenchmarkSection, progress: Progress) -> list[dict[str, Any]]:
    """Times every artifact at `path` on the samples it carries, and leaves `measurement.json` beside its manifest.

    Returns:
        One row per artifact: `artifact`, `measurement` or None, `not_measured` or None.
    """
    rows: list[dict[str, Any]] = []
    for folder in artifact_folders(path):
        artifact = Artifact.load(folder)
        is_text = artifact.preprocess.get("kind") == "text"
        images = (folder / PROBE_TOKENS, folder / PROBE_OFFSETS) if is_text else folder / PROBE_IMAGES
        target = Target.load(artifact.target)
        found, reason = benchmark(folder, section, images=images, target=target, progress=progress)
        if found is not None:
            write_atomically(folder / MEASUREMENT, json.dumps(found, indent=1))
        rows.append({"artifact": str(folder), "measurement": found, "not_measured": reason})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The measurements as plain text, a line per sequence length, batch size and thread count."""
    width = max(len(row["artifact"]) for row in rows)
    lines = [f"{'artifact':<{width}}  batch  threads   p50 ms   p90 ms   p99 ms  peak MB"]
    for row in rows:
        if row["measurement"] is None:
            lines.append(f"{row['artifact']:<{width}}  {row['not_measured']}")
            continue
        peak = row["measurement"]["peak_rss_above_runtime_bytes"]
        memory = "-" if peak is None else f"{peak / 1e6:.1f}"
        for found in row["measurement"]["latency"]:
            times = "".join(f"{_number(found[name]):>9}" for name in ("p50_ms", "p90_ms", "p99_ms"))
            tokens = "" if found.get("sequence_length") is None else f"  {found['sequence_length']} tokens"
            setting = f"{found['batch_size']:>5}  {found['threads']:>7}"
            lines.append(f"{row['artifact']:<{width}}  {setting}{times}{memory:>9}{tokens}")
        lines += [f"{row['artifact']:<{width}}  doubtful: {text}" for text in row["measurement"]["warnings"]]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def render_again(run: Path) -> dict[str, Path]:
    """Renders a run's report from its numbers, newer measurements included; gates are judged anew.

    Raises:
        StoreError: there is no report to start from.
    """
    numbers = read(run)
    models = {model["role"]: model for model in numbers["models"]}
    before = set(slower_than_float(Document.parse(numbers)))
    for row in numbers["artifacts"]:
        path = run / row["path"] / MEASUREMENT
        if path.is_file():
            row.update(measurement=json.loads(path.read_text(encoding="utf-8")), not_measured=None)
            row["failed"] = None if row["parity"] else row.get("failed")
    section = GatesSection.model_validate(numbers["recipe"].get("gates") or {})
    accuracies: dict[str, float | None] = {
        role: None if model["accuracy"] is None else model["accuracy"]["value"] for role, model in models.items()
    }
    # What the agent cannot measure again stays: whether a file fits its board was judged on the file.
    fits = [gate for gate in numbers["gates"] if gate["gate"] == MISFIT]
    here = {board["name"]: board["this_machine"] for board in numbers["targets"]}
    gates = [
        gate
        for row in numbers["artifacts"]
        for gate in judge(section, row, accuracies[row["model"]], is_host=here[row["target"]])
    ]
    numbers["gates"] = [*fits, *gates]
    kept = [warning for warning in numbers["warnings"] if warning not in before]
    numbers["warnings"] = [*kept, *slower_than_float(Document.parse(numbers))]
    return write(numbers, run)
