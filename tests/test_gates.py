"""Gates: each limit on both sides, and what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.gates import GatesSection, best_latency_ms, judge


def artifact(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "target": "x86-avx2",
        "path": "x86-avx2/onnx-int8",
        "precision": "int8",
        "parity": {"relative_max_error": 0.2, "top1_agreement": 0.97},
        "accuracy": {"value": 0.90},
        "measurement": {
            "latency": [
                {"batch_size": 1, "threads": 1, "p50_ms": 8.0},
                {"batch_size": 1, "threads": 2, "p50_ms": 5.0},
                {"batch_size": 8, "threads": 2, "p50_ms": 3.0},
            ],
            "peak_rss_above_runtime_bytes": 1000,
        },
        "not_measured": None,
    }
    return {**row, **changes}


def verdicts(section: GatesSection, row: dict[str, Any], accuracy: float | None = 0.905) -> dict[str, bool | None]:
    return {gate["gate"]: gate["passed"] for gate in judge(section, row, accuracy)}


@pytest.mark.parametrize(("agreement", "passed"), [(0.95, True), (0.949, False)])
def test_int8_parity_is_agreement(agreement: float, passed: bool) -> None:
    row = artifact(parity={"relative_max_error": 9.0, "top1_agreement": agreement})
    assert verdicts(GatesSection(), row)["parity"] is passed


@pytest.mark.parametrize(("error", "passed"), [(1e-3, True), (2e-3, False)])
def test_float_parity_is_error(error: float, passed: bool) -> None:
    row = artifact(precision="float32", parity={"relative_max_error": error, "top1_agreement": 1.0})
    assert verdicts(GatesSection(), row)["parity"] is passed


@pytest.mark.parametrize(("reference", "passed"), [(0.9099, True), (0.9101, False), (0.80, True)])
def test_accuracy_drop_is_in_points(reference: float, passed: bool) -> None:
    assert verdicts(GatesSection(), artifact(), reference)["accuracy_drop"] is passed


def test_latency_uses_the_best_thread_count_at_the_smallest_batch() -> None:
    assert best_latency_ms(artifact()["measurement"]) == 5.0
    assert verdicts(GatesSection(latency_p50_ms=5.0), artifact())["latency"] is True
    assert verdicts(GatesSection(latency_p50_ms={"x86-avx2": 4.9}), artifact())["latency"] is False
    assert "latency" not in verdicts(GatesSection(latency_p50_ms={"raspberry-pi-5": 1.0}), artifact())


def test_the_budget_of_host_is_this_machines_targets() -> None:
    section = GatesSection(latency_p50_ms={"host": 4.9, "raspberry-pi-5": 1.0})
    assert [gate["passed"] for gate in judge(section, artifact(), None, is_host=True) if gate["gate"] == "latency"] == [
        False
    ]
    assert "latency" not in verdicts(section, artifact())


def test_memory() -> None:
    assert verdicts(GatesSection(peak_rss_bytes=999), artifact())["memory"] is False
    assert verdicts(GatesSection(peak_rss_bytes=1000), artifact())["memory"] is True


def test_unmeasured_is_neither_passed_nor_failed() -> None:
    row = artifact(measurement=None, not_measured="another board", accuracy=None, parity=None)
    found = judge(GatesSection(latency_p50_ms=1.0), row, None)
    assert [gate["passed"] for gate in found] == [None, None, None]
    assert all(gate["reason"] for gate in found)


def test_a_budget_that_could_not_be_measured_says_why() -> None:
    row = artifact()
    row["measurement"].update(peak_rss_above_runtime_bytes=None, peak_rss_reason="no VmHWM")
    row["measurement"]["latency"] = [{"batch_size": 1, "threads": 9, "p50_ms": None, "reason": "9 threads on 2 cores"}]
    gates = judge(GatesSection(latency_p50_ms=1, peak_rss_bytes=1), row, 0.9)
    found = {gate["gate"]: gate["reason"] for gate in gates if gate["passed"] is None}
    assert found == {"latency": "9 threads on 2 cores", "memory": "no VmHWM"}


def test_a_file_that_failed_before_it_was_scored_has_no_gates() -> None:
    nothing = {"parity": None, "accuracy": None, "measurement": None, "not_measured": "the file failed"}
    assert judge(GatesSection(latency_p50_ms=1.0), artifact(failed="killed by SIGSEGV", **nothing), 0.9) == []
    died_later = artifact(failed="killed by SIGSEGV", measurement=None, not_measured="the file failed")
    assert verdicts(GatesSection(latency_p50_ms=1.0), died_later) == {
        "parity": True,
        "accuracy_drop": True,
        "latency": None,
    }
