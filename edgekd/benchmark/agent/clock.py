"""Timing and its statistics.

Only the call of the runtime is timed. Percentiles are linear interpolations between order statistics (numpy's
default), and one is reported only when there are enough runs for a sample to lie beyond it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MAX_RUNS = 100_000


def warm_up(call: Callable[[Any], Any], inputs: Sequence[Any], runs: int) -> None:
    """Untimed calls, on the inputs in turn."""
    for index in range(runs):
        call(inputs[index % len(inputs)])


def timed_runs(call: Callable[[Any], Any], inputs: Sequence[Any], runs: int, min_time_s: float) -> list[int]:
    """Durations in nanoseconds of at least `runs` calls that together last at least `min_time_s`.

    Args:
        call: what is timed.
        inputs: handed to it in turn.
        runs: smallest number of timed calls.
        min_time_s: smallest total time, in seconds, so that a fast model is not judged by a few milliseconds.
    """
    durations: list[int] = []
    total_ns = 0
    # A garbage collection in the middle of a run would be this program's pause, not the runtime's.
    gc.collect()
    gc.disable()
    try:
        while len(durations) < runs or (total_ns < min_time_s * 1e9 and len(durations) < MAX_RUNS):
            value = inputs[len(durations) % len(inputs)]
            start = time.perf_counter_ns()
            call(value)
            elapsed = time.perf_counter_ns() - start
            durations.append(elapsed)
            total_ns += elapsed
    finally:
        gc.enable()
    return durations


def percentile_ms(durations_ms: np.ndarray[Any, Any], percent: int) -> float | None:
    """A percentile in milliseconds; None below 100 / (100 - percent) runs, where no sample lies beyond it."""
    if len(durations_ms) * (100 - percent) < 100:
        return None
    return float(np.percentile(durations_ms, percent))


def statistics(durations_ns: Sequence[int], batch_size: int) -> dict[str, Any]:
    """The row of a report for one batch size: percentiles, mean and standard deviation in ms, samples per second."""
    ms = np.asarray(durations_ns, np.float64) / 1e6
    mean = float(ms.mean())
    row: dict[str, Any] = {"runs": len(ms)}
    for percent in (50, 90, 99):
        row[f"p{percent}_ms"] = percentile_ms(ms, percent)
    row["mean_ms"] = mean
    row["std_ms"] = float(ms.std(ddof=1)) if len(ms) > 1 else None
    row["throughput_per_s"] = batch_size / (mean / 1e3)
    missing = [f"p{percent}" for percent in (50, 90, 99) if row[f"p{percent}_ms"] is None]
    row["reason"] = f"{len(ms)} runs are too few for {', '.join(missing)}" if missing else None
    return row


def unmeasured(reason: str) -> dict[str, Any]:
    """The same row where nothing could be measured."""
    fields = ("runs", "p50_ms", "p90_ms", "p99_ms", "mean_ms", "std_ms", "throughput_per_s")
    return {**dict.fromkeys(fields), "reason": reason}
