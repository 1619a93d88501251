"""`python3 AGENT_FOLDER job.json [--follow]`: measures or evaluates one artifact, in this process.

The job is a JSON object:

    artifact      folder with manifest.json
    task          "measure" or "predict"
    threads       threads of the runtime; one process measures one thread count, because the spinning thread pools of
                  two sessions disturb each other
    exact         true: reference arithmetic instead of fused kernels
    runtime       optional: another runtime than the manifest's, e.g. onnxruntime for the ONNX file of a TensorRT bundle
    images        images.npy, uint8 (N, H, W, C); measure: optional, random pixels otherwise
    tokens, offsets                 of a model of texts, in place of images: .npy of all texts' token ids, and of where
                  each begins (N + 1 numbers)
    indices       optional .npy of the images or texts to use, in this order
    sequence_lengths                of a measurement of texts: tokens per text, cut or padded; default: the texts' own
    batch_sizes, warmup, runs, min_time_s         of a measurement
    batch_size, logits                            of a prediction: the size of a batch if the file leaves it free, and
                  the .npy to write
    alone         of a prediction, optional: a second .npy, of the first samples again, each in a batch of its own

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
import samples
from samples import DISTINCT_BATCHES, BadJob

# Samples that are run again alone: enough to see one answer in twenty change.
ALONE = 64
# Runtimes that plan their buffers allocate them in the first runs: a few more settle the peak.
MEMORY_RUNS = 3


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
    data = samples.load(job, manifest)
    if job["task"] == "measure":
        return _measure(job, folder, manifest, module, data)
    if job["task"] == "predict":
        return _predict(job, folder, manifest, module, data)
    raise BadJob(f"unknown task {job['task']!r} (accepted: measure, predict)")


def _runtime_module(name: str) -> Any:
    names = sorted(path.stem for path in (Path(__file__).parent / "runtimes").glob("*.py") if path.stem != "__init__")
    if name not in names:
        raise BadJob(f"this agent has no runtime {name!r} (accepted: {', '.join(names)})")
    return importlib.import_module("runtimes." + name)


def _chosen(job: dict[str, Any], data: Any) -> np.ndarray[Any, Any]:
    if job.get("indices") is None:
        chosen: np.ndarray[Any, Any] = np.arange(len(data))
    else:
        chosen = np.load(job["indices"], allow_pickle=False)
    if len(chosen) == 0:
        raise BadJob(f"there are no {data.noun}")
    if chosen.min() < 0 or chosen.max() >= len(data):
        raise BadJob(f"indices from {chosen.min()} to {chosen.max()} do not fit {len(data)} {data.noun}")
    return chosen


def _measure(job: dict[str, Any], folder: Path, manifest: dict[str, Any], module: Any, data: Any) -> dict[str, Any]:
    before = device.momentary_facts()
    chosen = _chosen(job, data)
    # A setting is a batch size with a sequence length, or with None for images.
    settings = [(int(size), length) for length in data.lengths(job, chosen) for size in job["batch_sizes"]]
    if job["threads"] > device.cores():
        return _too_many_threads(job, settings)
    batches = {setting: _batches(data, chosen, *setting) for setting in settings}
    start = time.perf_counter_ns()
    version = module.version()
    import_ms = (time.perf_counter_ns() - start) / 1e6
    build = getattr(module, "build_ahead", None)
    built = {_title(*setting): build(folder, manifest, *setting) for setting in settings} if build else None
    session, cold = _cold_start(job, folder, manifest, module, batches)
    rows: list[dict[str, Any]] = []
    for setting in settings:
        row = _latency(session, *setting, batches[setting], job)
        rows.append({**_setting(*setting), "threads": job["threads"], **row})
        print(
            f"batch {_title(*setting)}, {job['threads']} threads: p50 {row['p50_ms']} ms", file=sys.stderr, flush=True
        )
    return {
        "threads": job["threads"],
        "latency": rows,
        "reason": None,
        **cold,
        "runtime_import_ms": import_ms,
        "input": data.described,
        "file_size_bytes": sum(record["size_bytes"] for record in manifest["files"].values()),
        "runtime": {"name": manifest["runtime"], "version": version, "built": built, **session.facts()},
        "machine": device.steady_facts(),
        "before": before,
        "after": device.momentary_facts(),
    }


def _title(size: int, length: int | None) -> str:
    return str(size) if length is None else f"{size} x {length} tokens"


def _setting(size: int, length: int | None) -> dict[str, Any]:
    return {"batch_size": size} if length is None else {"batch_size": size, "sequence_length": length}


def _too_many_threads(job: dict[str, Any], settings: list[Any]) -> dict[str, Any]:
    reason = f"{job['threads']} threads on {device.cores()} cores"
    rows = [{**_setting(*setting), "threads": job["threads"], **_untimed(reason)} for setting in settings]
    return {"threads": job["threads"], "latency": rows, "reason": reason}


def _untimed(reason: str) -> dict[str, Any]:
    return {**clock.unmeasured(reason), "others_busy_cores": None, "others_busy_reason": reason}


def _batches(data: Any, chosen: np.ndarray[Any, Any], size: int, length: int | None) -> list[Any]:
    count = min(DISTINCT_BATCHES, -(-len(chosen) // size))
    picked = np.resize(chosen, (count, size))
    return [data.batch(indices, length) for indices in picked]


def _cold_start(
    job: dict[str, Any], folder: Path, manifest: dict[str, Any], module: Any, batches: dict[Any, Any]
) -> Any:
    """From a process with the runtime imported to the first answer: open, shape, one inference; and its peak memory.

    The files were just verified, so they come from the page cache. Memory is that of the first setting, before further
    inputs are prepared for the timing.
    """
    peak = memory.PeakMemory()
    start = time.perf_counter_ns()
    session = module.open_model(folder, manifest, job["threads"], bool(job.get("exact")))
    size, length = setting = next(iter(batches))
    reason = session.reshape(size, length, pinned=True)
    if reason is None:
        session(batches[setting][0])
    cold_ms = (time.perf_counter_ns() - start) / 1e6
    if reason is None:
        for _ in range(MEMORY_RUNS):
            session(batches[setting][0])
    used = peak.result()
    if reason or session.memory_reason:
        why = reason or session.memory_reason
        used.update(peak_rss_above_runtime_bytes=None, peak_rss_method=None, peak_rss_reason=why)
    cold = {"cold_start_ms": None if reason else cold_ms, "cold_start_reason": reason, "cold_start_batch_size": size}
    return session, {**cold, **used}


def _latency(session: Any, size: int, length: int | None, batches: list[Any], job: dict[str, Any]) -> dict[str, Any]:
    reason: str | None = session.reshape(size, length, pinned=True)
    if reason is not None:
        return _untimed(reason)
    prepared = [session.prepare(batch) for batch in batches]
    clock.warm_up(session.run, prepared, job["warmup"])
    before = device.cpu_time()
    durations = clock.timed_runs(session.run, prepared, job["runs"], job["min_time_s"])
    return {**clock.statistics(durations, size), **device.others(before, device.cpu_time())}


def _predict(job: dict[str, Any], folder: Path, manifest: dict[str, Any], module: Any, data: Any) -> dict[str, Any]:
    version = module.version()
    session = module.open_model(folder, manifest, job["threads"], bool(job.get("exact")))
    size = int(manifest["inputs"][0]["shape"][0] or job["batch_size"])
    reason = session.reshape(size)
    if reason is not None:
        raise runtimes.Unsupported(reason)
    chosen = _chosen(job, data)
    order = data.order(chosen)
    found: list[Any] = [None] * len(chosen)
    told = time.monotonic()
    for start in range(0, len(chosen), size):
        places = order[start : start + size]
        # The last batch is filled up, because the model may have been compiled for one size.
        part = chosen[np.resize(places, size)]
        for place, rows in zip(places, data.rows(session(data.batch(part)), part)):
            found[place] = rows
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{start + len(places)}/{len(chosen)} {data.noun}", file=sys.stderr, flush=True)
    logits = np.concatenate(found)
    shape = manifest["outputs"][0]["shape"]
    if logits.shape != (data.count(chosen, shape), shape[-1]):
        raise bundle.BadBundle(f"the model gives {logits.shape} for {len(chosen)} {data.noun} and {shape[-1]} outputs")
    np.save(job["logits"], logits)
    if job.get("alone"):
        np.save(job["alone"], _alone(session, data, chosen[:ALONE]) if size > 1 else np.concatenate(found[:ALONE]))
    facts = {"name": manifest["runtime"], "version": version, **session.facts()}
    return {"samples": len(chosen), "batch_size": size, "runtime": facts, "exact": bool(job.get("exact"))}


def _alone(session: Any, data: Any, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The logits of these samples as they are timed: one by one, and compiled for that."""
    session.reshape(1, pinned=True)
    return np.concatenate([data.rows(session(data.batch(part)), part)[0] for part in chosen[:, None]])


if __name__ == "__main__":
    sys.exit(main())
