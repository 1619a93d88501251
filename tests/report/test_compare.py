"""Which timing represents a file, and which files are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekd.report import write
from edgekd.report.compare import best_latency, slower_than_float, smallest_batch, speed_ups
from edgekd.report.document import Document

Json = dict[str, Any]


def test_best_threads_at_the_smallest_batch(full: Json) -> None:
    rows = full["artifacts"][1]["measurement"]["latency"]
    rows.append({"batch_size": 8, "threads": 1, "p50_ms": 0.001})
    rows.append({"batch_size": 1, "threads": 4, "p50_ms": None})
    document = Document.parse(full)
    row = best_latency(document.artifacts[1], smallest_batch(document))
    assert row and (row.batch_size, row.threads, row.p50_ms) == (1, 2, 0.094)


def test_pairs_are_of_one_network_runtime_and_target(full: Json) -> None:
    found = [(pair.int8.runtime, pair.int8.model, pair.verdict) for pair in speed_ups(Document.parse(full))]
    assert found == [
        ("onnxruntime", "student", "faster"),
        ("openvino", "student", "faster"),
        ("litert", "student", "equal"),
    ]
    assert [pair.ratio for pair in speed_ups(Document.parse(full))] == pytest.approx([2.2553, 1.8272, 0.9705], abs=1e-4)


def test_nothing_timed(unmeasured: Json) -> None:
    document = Document.parse(unmeasured)
    assert smallest_batch(document) is None and speed_ups(document) == []


def test_int8_that_is_not_faster_is_told_once_with_its_doubts(full: Json, tmp_path: Path) -> None:
    (sentence,) = slower_than_float(Document.parse(full))
    assert sentence.endswith("(0.271 ms against 0.263 ms): the float32 file is the better choice there.")
    full["artifacts"][4]["measurement"]["warnings"] = ["the machine was busy"]
    (doubtful,) = slower_than_float(Document.parse(full))
    assert doubtful.startswith(sentence) and "doubtful" in doubtful
    full["warnings"].append(doubtful)
    for name in ("markdown", "html"):
        assert write(full, tmp_path)[name].read_text().count("no faster than float32") == 1
