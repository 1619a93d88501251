"""`python3 AGENT_FOLDER job.json [--follow]`: measures or evaluates one artifact, in this process.

The job is a JSON object:

    artifact      folder with manifest.json
    task          "measure" or "predict"
    threads       threads of the runtime; one process measures one thread count, because the spinning thread pools of
                  two sessions disturb each other
    exact         true: reference arithmetic instead of fused kernels
    runtime       optional: another runtime than the manifest's, e.g. onnxruntime for the ONNX file of a TensorRT bundle
    images        images.npy, uint8 (N, H, W, C); measure: optional, random pixels otherwise
    indices       optional .npy of the images to use, in this order
    batch_sizes, warmup, runs, min_time_s         of a measurement
    batch_size, logits                            of a prediction: the size of a batch, and the .npy to write

With --follow the process ends when its stdin does: nobody is left to read the answer.

The answer is one JSON object on stdout: the figures, or `{"error": {"kind", "message", "hint"}}` with exit code 1.
Everything else, the runtime's own printing included, goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import bundle
import clock
import device
import memory
import numpy as np
import runtimes

# Batches that are prepared in advance and used in turn, so that no run finds its input in the cache from the last one.
DISTINCT_BATCHES = 8
# Runtimes that plan their buffers allocate them in the first runs: a few more settle the peak.
MEMORY_RUNS = 3


class BadJob(Exception):
    """The job cannot be done as it is written."""


def main() -> int:
    """Runs the job named on the command line."""
    answer_stream = _reserve_stdout()
    try:
        if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--follow"]):
            raise BadJob("usage: python3 AGENT_FOLDER job.json [--follow]")
        if sys.argv[2:]:
            threading.Thread(target=_follow_stdin, daemon=True).start()
        job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        answer, code = _run(job), 0
    except Exception as error:
        # The border of the process: whatever a runtime raises, and they share no base class, becomes one JSON answer.
        traceback.print_exc()
        answer, code = {"error": _described(error)}, 1
    with answer_stream as stream:
        json.dump(answer, stream, allow_nan=False)
        stream.write("\n")
    return code


def _follow_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _reserve_stdout() -> Any:
    """The real stdout for the answer; file descriptor 1, where libraries print, becomes stderr."""
    sys.stdout.flush()
    reserved = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(reserved, "w", encoding="utf-8")


def _described(error: Exception) -> dict[str, Any]:
    if isinstance(error, runtimes.MissingRuntime):
        return {"kind": "missing_runtime", "message": str(error.args[0]), "hint": str(error.args[1])}
    kinds = {BadJob: "job", bundle.BadBundle: "artifact", runtimes.Unsupported: "unsupported"}
    kind = next((name for base, name in kinds.items() if isinstance(error, base)), "runtime")
    text = str(error).strip() or type(error).__name__
    return {"kind": kind, "message": text if kind != "runtime" else f"{type(error).__name__}: {text}", "hint": None}


def _run(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["artifact"])
    manifest = bundle.load(folder)
    module = _runtime_module(job.get("runtime") or manifest["runtime"])
    images = _images(job, manifest)
    if job["task"] == "measure":
        return _measure(job, folder, manifest, module, images)
    if job["task"] == "predict":
        return _predict(job, folder, manifest, module, images)
    raise BadJob(f"unknown task {job['task']!r} (accepted: measure, predict)")


def _runtime_module(name: str) -> Any:
    names = sorted(path.stem for path in (Path(__file__).parent / "runtimes").glob("*.py") if path.stem != "__init__")
    if name not in names:
        raise BadJob(f"this agent has no runtime {name!r} (accepted: {', '.join(names)})")
    return importlib.import_module("runtimes." + name)


def _images(job: dict[str, Any], manifest: dict[str, Any]) -> np.ndarray[Any, Any]:
    """`(N, H, W, C)` uint8, memory-mapped; random pixels when a measurement comes without images."""
    if job.get("images") is None:
        if job["task"] == "predict":
            raise BadJob("a prediction needs images")
        shape = (DISTINCT_BATCHES, *manifest["preprocess"]["size"], manifest["preprocess"]["channels"])
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images = np.load(job["images"], mmap_mode="r", allow_pickle=False)
    wanted = (*manifest["preprocess"]["size"], manifest["preprocess"]["channels"])
    if images.dtype != np.uint8 or images.shape[1:] != wanted:
        raise BadJob(f"images must be uint8 (N, {', '.join(map(str, wanted))}), got {images.dtype} {images.shape}")
    return images


def _chosen(job: dict[str, Any], images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if job.get("indices") is None:
        chosen: np.ndarray[Any, Any] = np.arange(len(images))
    else:
        chosen = np.load(job["indices"], allow_pickle=False)
    if len(chosen) == 0:
        raise BadJob("there are no images")
    if chosen.min() < 0 or chosen.max() >= len(images):
        raise BadJob(f"indices from {chosen.min()} to {chosen.max()} do not fit {len(images)} images")
    return chosen


def _measure(
    job: dict[str, Any], folder: Path, manifest: dict[str, Any], module: Any, images: np.ndarray[Any, Any]
) -> dict[str, Any]:
    before = device.momentary_facts()
    sizes = [int(size) for size in job["batch_sizes"]]
    chosen = _chosen(job, images)
    if job["threads"] > device.cores():
        return _too_many_threads(job, sizes)
    batches = {size: _batches(images, chosen, size, manifest["preprocess"]) for size in sizes}
    start = time.perf_counter_ns()
    version = module.version()
    import_ms = (time.perf_counter_ns() - start) / 1e6
    build = getattr(module, "build_ahead", None)
    built = {str(size): build(folder, manifest, size) for size in sizes} if build else None
    session, cold = _cold_start(job, folder, manifest, module, batches)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        row = _latency(session, size, batches[size], job)
        rows.append({"batch_size": size, "threads": job["threads"], **row})
        print(f"batch {size}, {job['threads']} threads: p50 {row['p50_ms']} ms", file=sys.stderr, flush=True)
    return {
        "threads": job["threads"],
        "latency": rows,
        "reason": None,
        **cold,
        "runtime_import_ms": import_ms,
        "input": "random pixels" if job.get("images") is None else "test images",
        "file_size_bytes": sum(record["size_bytes"] for record in manifest["files"].values()),
        "runtime": {"name": manifest["runtime"], "version": version, "built": built, **session.facts()},
        "machine": device.steady_facts(),
        "before": before,
        "after": device.momentary_facts(),
    }


def _too_many_threads(job: dict[str, Any], sizes: list[int]) -> dict[str, Any]:
    reason = f"{job['threads']} threads on {device.cores()} cores"
    rows = [{"batch_size": size, "threads": job["threads"], **_untimed(reason)} for size in sizes]
    return {"threads": job["threads"], "latency": rows, "reason": reason}


def _untimed(reason: str) -> dict[str, Any]:
    return {**clock.unmeasured(reason), "others_busy_cores": None, "others_busy_reason": reason}


def _batches(
    images: np.ndarray[Any, Any], chosen: np.ndarray[Any, Any], size: int, recorded: dict[str, Any]
) -> list[np.ndarray[Any, Any]]:
    count = min(DISTINCT_BATCHES, -(-len(chosen) // size))
    picked = np.resize(chosen, count * size)
    inputs = bundle.preprocess(np.asarray(images[picked]), recorded)
    return list(inputs.reshape(count, size, *inputs.shape[1:]))


def _cold_start(
    job: dict[str, Any], folder: Path, manifest: dict[str, Any], module: Any, batches: dict[int, Any]
) -> Any:
    """From a process with the runtime imported to the first answer: open, shape, one inference; and its peak memory.

    The files were just verified, so they come from the page cache. Memory is that of the first batch size, before
    further inputs are prepared for the timing.
    """
    peak = memory.PeakMemory()
    start = time.perf_counter_ns()
    session = module.open_model(folder, manifest, job["threads"], bool(job.get("exact")))
    size = int(job["batch_sizes"][0])
    reason = session.reshape(size)
    if reason is None:
        session(batches[size][0])
    cold_ms = (time.perf_counter_ns() - start) / 1e6
    if reason is None:
        for _ in range(MEMORY_RUNS):
            session(batches[size][0])
    used = peak.result()
    if reason or session.memory_reason:
        why = reason or session.memory_reason
        used.update(peak_rss_above_runtime_bytes=None, peak_rss_method=None, peak_rss_reason=why)
    cold = {"cold_start_ms": None if reason else cold_ms, "cold_start_reason": reason, "cold_start_batch_size": size}
    return session, {**cold, **used}


def _latency(session: Any, size: int, batches: list[np.ndarray[Any, Any]], job: dict[str, Any]) -> dict[str, Any]:
    reason: str | None = session.reshape(size)
    if reason is not None:
        return _untimed(reason)
    prepared = [session.prepare(batch) for batch in batches]
    clock.warm_up(session.run, prepared, job["warmup"])
    before = device.cpu_time()
    durations = clock.timed_runs(session.run, prepared, job["runs"], job["min_time_s"])
    return {**clock.statistics(durations, size), **device.others(before, device.cpu_time())}


def _predict(
    job: dict[str, Any], folder: Path, manifest: dict[str, Any], module: Any, images: np.ndarray[Any, Any]
) -> dict[str, Any]:
    version = module.version()
    session = module.open_model(folder, manifest, job["threads"], bool(job.get("exact")))
    size, reason = int(job["batch_size"]), None
    for candidate in dict.fromkeys((size, 1, manifest["inputs"][0]["shape"][0] or 1)):
        reason = session.reshape(candidate)
        if reason is None:
            size = candidate
            break
    if reason is not None:
        raise runtimes.Unsupported(reason)
    chosen = _chosen(job, images)
    rows: list[np.ndarray[Any, Any]] = []
    told = time.monotonic()
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        # The last batch is filled up, because the model may have been compiled for one size.
        padded = np.resize(part, size)
        rows.append(session(bundle.preprocess(np.asarray(images[padded]), manifest["preprocess"]))[: len(part)])
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{start + len(part)}/{len(chosen)} images", file=sys.stderr, flush=True)
    logits = np.concatenate(rows)
    classes = manifest["outputs"][0]["shape"][-1]
    if logits.shape != (len(chosen), classes):
        raise bundle.BadBundle(f"the model gives {logits.shape} for {len(chosen)} images and {classes} outputs")
    np.save(job["logits"], logits)
    facts = {"name": manifest["runtime"], "version": version, **session.facts()}
    return {"samples": len(chosen), "batch_size": size, "runtime": facts, "exact": bool(job.get("exact"))}


if __name__ == "__main__":
    sys.exit(main())
