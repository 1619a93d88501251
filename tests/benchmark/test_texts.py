"""Artifacts of text networks through the agent, in processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgekd.benchmark import BenchmarkSection, benchmark, predict
from edgekd.errors import BenchmarkError
from edgekd.target import Target

SIZES = [3, 20, 9, 24, 1, 9, 16]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, networks: Any) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("texts")
    rows = networks.texts(SIZES, seed=7)
    np.save(folder / "tokens.npy", np.concatenate(rows).astype(np.int32))
    np.save(folder / "offsets.npy", np.cumsum([0, *SIZES]))
    return folder / "tokens.npy", folder / "offsets.npy"


@pytest.mark.parametrize("name", ["onnx", "openvino", "tflite"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_predict_pads_each_batch_and_keeps_the_order(
    name: str, batch_size: int, files: tuple[Path, Path], networks: Any
) -> None:
    folder = networks.exported("sequence", name, None)[1]
    found = predict(folder, files, batch_size=batch_size)
    expected = networks.answers("sequence", networks.texts(SIZES, seed=7))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_logits_of_real_tokens_are_flat_in_the_order_of_the_indices(files: tuple[Path, Path], networks: Any) -> None:
    chosen = [3, 0, 2]
    found = predict(networks.exported("token", "onnx", None)[1], files, indices=chosen, batch_size=2)
    rows = networks.texts(SIZES, seed=7)
    expected = networks.answers("token", [rows[index] for index in chosen])
    assert found.shape == (24 + 3 + 9, networks.CLASSES)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def section(**fields: Any) -> BenchmarkSection:
    quick = {"batch_sizes": [1], "threads": [1], "warmup": 1, "runs": 2, "min_time_s": 0}
    return BenchmarkSection.model_validate({**quick, **fields})


def measure(name: str, files: Any, tiny: Any, method: str | None = None, **fields: Any) -> dict[str, Any]:
    folder = tiny.exported("sequence", name, method)[1]
    found, reason = benchmark(folder, section(**fields), images=files, target=Target.load("host"))
    assert found is not None, reason
    return found


def test_each_sequence_length_has_a_row(files: tuple[Path, Path], networks: Any) -> None:
    found = measure("openvino", files, networks, "int8_dynamic", sequence_lengths=[8, 24, 25], batch_sizes=[1, 2])
    assert [(row["sequence_length"], row["batch_size"]) for row in found["latency"]] == [
        (length, size) for length in (8, 24, 25) for size in (1, 2)
    ]
    assert all(row["p50_ms"] > 0 for row in found["latency"] if row["sequence_length"] < 25)
    assert {row["reason"] for row in found["latency"] if row["sequence_length"] == 25} == {
        "the model takes at most 24 tokens"
    }
    assert found["input"] == "test texts"


def test_lengths_come_from_the_texts_unless_given(files: tuple[Path, Path], networks: Any) -> None:
    """Median and 95th percentile of 1, 3, 9, 9, 16, 20, 24."""
    assert [row["sequence_length"] for row in measure("onnx", files, networks)["latency"]] == [9, 24]


def test_litert_pads_to_the_lengths_of_its_file(files: tuple[Path, Path], networks: Any) -> None:
    found = measure("tflite", files, networks, "int8_static", sequence_lengths=[7, 17], batch_sizes=[1, 2])
    assert [row["p50_ms"] is None for row in found["latency"]] == [False, True, False, True]
    assert found["runtime"]["sequence_lengths"] == [16, 24]


def test_a_job_without_texts_or_with_broken_ones_is_refused(tmp_path: Path, networks: Any) -> None:
    folder = networks.exported("sequence", "onnx", None)[1]
    with pytest.raises(BenchmarkError, match="needs tokens and offsets"):
        benchmark(folder, section(), target=Target.load("host"))
    tokens, offsets = tmp_path / "tokens.npy", tmp_path / "offsets.npy"
    np.save(tokens, np.arange(5))
    np.save(offsets, np.array([0, 4]))
    with pytest.raises(BenchmarkError, match="offsets must rise"):
        predict(folder, (tokens, offsets))


@pytest.mark.parametrize("lengths", [[], [0], [8, 8]])
def test_lengths_that_cannot_be_measured_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValidationError):
        section(sequence_lengths=lengths)
