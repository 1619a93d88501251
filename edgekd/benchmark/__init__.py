"""Benchmark: time an exported artifact, and run it over data, always through the same small agent.

Every thread count is measured in a fresh process of its own, because the spinning thread pools of two sessions in one
process disturb each other, and so that each has its own cold start and peak memory. What could not be measured is None
with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgekd.artifact import Artifact
from edgekd.benchmark.link import AGENT, LINKS, Job, Link
from edgekd.errors import BenchmarkError
from edgekd.progress import QUIET, Progress
from edgekd.scratch import scratch

if TYPE_CHECKING:
    from edgekd.target import Target

# Images, or the .npy files of all texts' tokens and of their offsets.
Images = Path | NDArray[np.uint8] | tuple[Path, Path]
Indices = NDArray[np.integer[Any]] | Sequence[int]

# Others' share of a core, on average, above which a timing is called doubtful, both before and while it is timed.
# A tenth of this is a desktop's idling; four times this moves a p50 on two cores.
BUSY_CORES = 0.25

__all__ = ["AGENT", "LINKS", "BenchmarkSection", "Job", "Link", "benchmark", "disturbances", "predict"]


class BenchmarkSection(BaseModel):
    """The `benchmark:` block of a recipe.

    Attributes:
        batch_sizes: samples per inference, in the order they are measured; memory and cold start are the first one's.
        sequence_lengths: tokens per text, each measured at every batch size; null: the median and the 95th percentile
            of the test texts. Longer texts are cut, shorter ones padded. Images have none.
        threads: thread counts, each measured in a process of its own.
        warmup: untimed inferences first.
        runs: smallest number of timed inferences; below 100 there is no p99.
        min_time_s: timed inferences go on for at least this long, in seconds.
        time_limit_s: a process that takes longer, in seconds, is ended and fails the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    batch_sizes: list[int] = Field(default=[1], min_length=1)
    sequence_lengths: list[int] | None = Field(default=None, min_length=1)
    threads: list[int] = Field(default=[1, 2], min_length=1)
    warmup: int = Field(default=10, ge=1)
    runs: int = Field(default=100, ge=2, le=100_000)
    min_time_s: float = Field(default=0.5, ge=0, le=600)
    time_limit_s: float = Field(default=600, gt=0)

    @field_validator("batch_sizes", "sequence_lengths", "threads")
    @classmethod
    def _positive_and_distinct(cls, value: list[int] | None) -> list[int] | None:
        if value is None:
            return None
        if min(value) < 1 or max(value) > 4096:
            raise ValueError("every number is from 1 to 4096")
        if len(set(value)) < len(value):
            raise ValueError("a number is given twice")
        return value


def benchmark(
    artifact_dir: Path,
    section: BenchmarkSection,
    link: Link | None = None,
    images: Images | None = None,
    *,
    indices: Indices | None = None,
    target: Target | None = None,
    progress: Progress = QUIET,
) -> tuple[dict[str, Any] | None, str | None]:
    """Times an artifact on the machine at the other end of a link.

    Args:
        artifact_dir: folder with the manifest.
        section: what to measure.
        link: the way to the machine; None: this one.
        images: test images, uint8 `(N, H, W, C)`, or the files of test texts; None: random pixels, and the measurement
            says so.
        indices: which of them; None: all.
        target: the profile the artifact was made for; None: the one its manifest names.

    Returns:
        The measurement and None, or None and the reason why an artifact made for another machine is not timed.
        `cold_start_ms` and `peak_rss_above_runtime_bytes` are those of the thread count with the smallest p50 at the
        smallest batch size; `processes` holds every thread count's, `warnings` what makes the figures doubtful.

    Raises:
        BenchmarkError: the agent failed.
        MissingBackend: the runtime is not installed there.
        StoreError: the artifact's files are damaged.
        TargetError: the manifest names a target that does not exist.
    """
    from edgekd.target import Target

    artifact = Artifact.load(artifact_dir, verify=False)
    link = link or LINKS.parse("local")
    target = target or Target.load(artifact.target)
    reasons = link.reasons(target)
    if reasons:
        return None, f"not timed, the machine is no {target.name}: {'; '.join(reasons)}"
    options = {"task": "measure", "exact": False, **section.model_dump(exclude={"threads", "time_limit_s"})}
    processes: list[dict[str, Any]] = []
    with scratch() as folder:
        files = _image_files(images, indices, folder)
        for threads in section.threads:
            progress.note(f"timing {artifact.format} {artifact.precision} of the {artifact.model}, threads: {threads}")
            job = Job(artifact_dir, {**options, "threads": threads}, *files)
            processes.append(link.run(job, section.time_limit_s))
    return _measurement(processes), None


def predict(
    artifact_dir: Path,
    images: Images,
    out: Path | None = None,
    *,
    indices: Indices | None = None,
    exact: bool = False,
    runtime: str | None = None,
    alone: Path | None = None,
    batch_size: int = 32,
    threads: int = 1,
    link: Link | None = None,
    time_limit_s: float = 3600,
) -> NDArray[np.float32]:
    """Logits of an artifact, computed by its own runtime or by the one that stands in for it.

    Args:
        artifact_dir: folder with the manifest.
        images: uint8 `(N, H, W, C)`, or the .npy file that holds them, or the files of texts.
        out: .npy to keep the logits in; None: they are only returned.
        indices: which samples, in this order; None: all.
        exact: reference arithmetic instead of fused kernels, for a file made for another instruction set.
        runtime: stands in for the artifact's own runtime, e.g. `onnxruntime` for a TensorRT bundle; None: its own.
        alone: .npy to keep the logits of the first 64 samples in, each run in a batch of its own; None: they are not.
        batch_size: samples per inference; a file with a fixed batch size runs in its own.

    Returns:
        `(N, K)` float32; of texts whose tokens are classified `(T, K)`, all tokens, text after text.

    Raises:
        BenchmarkError: the agent failed.
        MissingBackend: the runtime is not installed there.
        StoreError: the artifact's files are damaged.
    """
    options = {"task": "predict", "exact": exact, "runtime": runtime, "batch_size": batch_size, "threads": threads}
    with scratch() as folder:
        logits = out or folder / "logits.npy"
        files = _image_files(images, indices, folder)
        (link or LINKS.parse("local")).run(Job(artifact_dir, options, *files, logits, alone), time_limit_s)
        try:
            return np.load(logits, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BenchmarkError("the agent's logits cannot be read", where=logits, received=error) from error


def _image_files(
    images: Images | None, indices: Indices | None, folder: Path
) -> tuple[Path | tuple[Path, Path] | None, Path | None]:
    """The .npy files that a job names: existing ones where possible, so that nothing large is copied."""
    chosen: Path | None = None
    if indices is not None:
        chosen = folder / "indices.npy"
        np.save(chosen, np.asarray(indices, np.int64))
    if images is None or isinstance(images, (Path, tuple)):
        return images, chosen
    if isinstance(images, np.memmap) and images.filename is not None and str(images.filename).endswith(".npy"):
        path = Path(images.filename)
        whole = np.load(path, mmap_mode="r")
        if whole.shape == images.shape and whole.offset == images.offset:
            return path, chosen
    path = folder / "images.npy"
    np.save(path, images if indices is None else images[np.asarray(indices)])
    return path, None


def _measurement(processes: list[dict[str, Any]]) -> dict[str, Any]:
    """One measurement from the answers of all thread counts."""
    rows = [row for process in processes for row in process["latency"]]
    done = [process for process in processes if process["reason"] is None]
    best = min(done, key=_speed, default=None)
    fields = (
        "cold_start_ms",
        "cold_start_reason",
        "peak_rss_above_runtime_bytes",
        "peak_rss_method",
        "peak_rss_reason",
        "file_size_bytes",
        "input",
        "runtime",
        "machine",
    )
    found = {field: None if best is None else best[field] for field in fields}
    if best is None:
        found["cold_start_reason"] = found["peak_rss_reason"] = "; ".join(process["reason"] for process in processes)
    machine: dict[str, Any] = found["machine"] or {}
    details = [
        {key: value for key, value in process.items() if key not in ("latency", "machine")} for process in processes
    ]
    warnings = [] if best is None else disturbances(best["before"], rows, machine["cores"])
    return {"latency": rows, "cpu": machine.get("cpu"), **found, "warnings": warnings, "processes": details}


def disturbances(before: dict[str, Any], rows: Sequence[dict[str, Any]], cores: int) -> list[str]:
    """What makes a timing doubtful, as sentences.

    Args:
        before: the agent's momentary facts from before it timed.
        rows: the latency rows, each with what others used while it was timed; the worst one is told.
        cores: cores that it could use.
    """
    found: list[str] = []
    busy, throttled, governor = before["busy_cores"], before["throttled"], before["governor"]
    if busy is not None and busy > BUSY_CORES:
        found.append(f"the machine was busy: others used {busy:.1f} of {cores} cores")
    worst = max(rows, key=lambda row: row["others_busy_cores"] or 0.0)
    if (worst["others_busy_cores"] or 0.0) > BUSY_CORES:
        tokens = "" if worst.get("sequence_length") is None else f" of {worst['sequence_length']} tokens"
        where = f"batch {worst['batch_size']}{tokens}, threads: {worst['threads']}"
        found.append(f"others used {worst['others_busy_cores']:.1f} of {cores} cores while it was timed ({where})")
    if throttled not in (None, "0", "0x0"):
        found.append(f"the board throttles or has throttled: {throttled}")
    if governor not in (None, "performance"):
        found.append(f"the frequency governor is {governor}; timings wander less with performance")
    return found


def _speed(process: dict[str, Any]) -> float:
    times = [
        (row["batch_size"], row.get("sequence_length") or 0, row["p50_ms"])
        for row in process["latency"]
        if row["p50_ms"] is not None
    ]
    return min(times)[-1] if times else float("inf")
