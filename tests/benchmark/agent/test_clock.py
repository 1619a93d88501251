"""Timing and its statistics against hand-computed values."""

from __future__ import annotations

import gc
import math
import time

import pytest

from edgekd.benchmark.agent import clock


def test_statistics_by_hand() -> None:
    row = clock.statistics([1_000_000 * n for n in range(1, 101)], batch_size=4)
    assert row["runs"] == 100
    assert row["p50_ms"] == pytest.approx(50.5)
    assert row["p90_ms"] == pytest.approx(90.1)
    assert row["p99_ms"] == pytest.approx(99.01)
    assert row["mean_ms"] == pytest.approx(50.5)
    assert row["std_ms"] == pytest.approx(math.sqrt(100 * 101 / 12))
    assert row["throughput_per_s"] == pytest.approx(4 / 0.0505)
    assert row["reason"] is None


@pytest.mark.parametrize(("runs", "missing"), [(1, "p50, p90, p99"), (2, "p90, p99"), (10, "p99"), (99, "p99")])
def test_percentiles_need_a_sample_beyond_them(runs: int, missing: str) -> None:
    row = clock.statistics([1_000_000] * runs, 1)
    assert row["reason"] == f"{runs} runs are too few for {missing}"
    assert [name for name in ("p50_ms", "p90_ms", "p99_ms") if row[name] is None] == [
        f"{name}_ms" for name in missing.split(", ")
    ]


def test_unmeasured_has_the_same_fields_all_none() -> None:
    measured, missing = clock.statistics([1_000_000] * 100, 1), clock.unmeasured("why")
    assert measured.keys() == missing.keys()
    assert {value for key, value in missing.items() if key != "reason"} == {None}


def test_only_the_call_is_timed_and_inputs_take_turns() -> None:
    seen: list[str] = []

    def call(value: str) -> None:
        seen.append(value)
        time.sleep(0.002)

    clock.warm_up(call, ["a", "b", "c"], runs=2)
    durations = clock.timed_runs(call, ["a", "b", "c"], runs=4, min_time_s=0)
    assert seen == ["a", "b", "a", "b", "c", "a"]
    assert len(durations) == 4
    assert all(2e6 <= duration < 5e8 for duration in durations)


def test_a_fast_call_is_repeated_for_the_minimum_time() -> None:
    durations = clock.timed_runs(lambda _: time.sleep(0.001), [None], runs=2, min_time_s=0.05)
    assert sum(durations) >= 0.05e9 > sum(durations[:-1])


def test_garbage_collection_is_back_on_after_a_failing_call() -> None:
    def fails(_: object) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        clock.timed_runs(fails, [None], runs=1, min_time_s=0)
    assert gc.isenabled()
