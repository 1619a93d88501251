"""Timing real artifacts: what is measured, and what is honestly not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgekd.benchmark import BUSY_CORES, LINKS, BenchmarkSection, benchmark, disturbances
from edgekd.benchmark.agent import device
from edgekd.errors import BenchmarkError, TargetError
from edgekd.target import Target

QUICK = BenchmarkSection(batch_sizes=[1], threads=[1], warmup=1, runs=100, min_time_s=0)


@pytest.fixture
def host() -> Target:
    """A profile that this machine satisfies, whatever it is, so that the measurement is not refused."""
    instruction_sets = {"required": device.cpu_flags()[:1], "source": "test"}
    return Target.load("x86-avx2").model_copy(
        update={
            "architecture": device.architecture(),
            "instruction_sets": Target.load("x86-avx2").instruction_sets.model_copy(
                update={**instruction_sets, "absent": []}
            ),
        }
    )


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "litert"])
def test_every_figure_of_a_measurement(
    runtime: str, float_artifact: Callable[[str], Path], subject: Any, host: Target
) -> None:
    folder = float_artifact(runtime)
    section = QUICK.model_copy(update={"batch_sizes": [1, 3]})
    measurement, reason = benchmark(folder, section, images=subject.images, target=host)
    assert reason is None and measurement is not None
    assert [(row["batch_size"], row["threads"]) for row in measurement["latency"]] == [(1, 1), (3, 1)]
    for row in measurement["latency"]:
        assert row["reason"] is None and row["runs"] == 100
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["throughput_per_s"] == pytest.approx(row["batch_size"] / row["mean_ms"] * 1000)
        assert row["std_ms"] >= 0
    assert measurement["cold_start_ms"] > measurement["latency"][0]["p50_ms"]
    assert 0 < measurement["peak_rss_above_runtime_bytes"] < 2**30
    assert "minus VmRSS before the model was opened" in measurement["peak_rss_method"]
    files = [path for path in folder.iterdir() if path.name != "manifest.json"]
    assert measurement["file_size_bytes"] == sum(path.stat().st_size for path in files)
    assert measurement["cpu"] == device.cpu_model()
    assert measurement["runtime"]["name"] == runtime and measurement["runtime"]["version"]
    assert measurement["input"] == "test images"
    assert measurement["processes"][0]["before"]["busy_cores"] is not None


def test_who_else_was_busy_while_timing_is_carried(onnx_artifact: Path, subject: Any, host: Target) -> None:
    section = QUICK.model_copy(update={"min_time_s": 0.2})
    measurement, _ = benchmark(onnx_artifact, section, images=subject.images, target=host)
    assert measurement is not None
    (row,) = measurement["latency"]
    assert row["others_busy_cores"] >= 0 and row["others_busy_reason"] is None
    # The same row decides: whatever else runs here, the figure and the warning agree.
    warned = any("while it was timed" in text for text in measurement["warnings"])
    assert warned == (row["others_busy_cores"] > BUSY_CORES)


def test_every_thread_count_has_its_own_process(onnx_artifact: Path, subject: Any, host: Target) -> None:
    section = QUICK.model_copy(update={"threads": [1, 100_000]})
    measurement, _ = benchmark(onnx_artifact, section, images=subject.images, target=host)
    assert measurement is not None
    first, second = measurement["processes"]
    assert first["threads"] == 1 and first["cold_start_ms"] == measurement["cold_start_ms"]
    too_many = measurement["latency"][1]
    assert too_many["p50_ms"] is None and too_many["throughput_per_s"] is None
    assert too_many["others_busy_cores"] is None and too_many["others_busy_reason"] == too_many["reason"]
    assert too_many["reason"] == second["reason"] == f"100000 threads on {device.cores()} cores"


def test_nothing_measured_is_none_with_a_reason(onnx_artifact: Path, subject: Any, host: Target) -> None:
    section = QUICK.model_copy(update={"threads": [100_000]})
    measurement, _ = benchmark(onnx_artifact, section, images=subject.images, target=host)
    assert measurement is not None
    assert measurement["cold_start_ms"] is None and measurement["peak_rss_above_runtime_bytes"] is None
    assert "cores" in measurement["cold_start_reason"] and "cores" in measurement["peak_rss_reason"]


def test_few_runs_have_no_p99(onnx_artifact: Path, subject: Any, host: Target) -> None:
    section = QUICK.model_copy(update={"runs": 10})
    measurement, _ = benchmark(onnx_artifact, section, images=subject.images, target=host)
    assert measurement is not None
    row = measurement["latency"][0]
    assert row["p90_ms"] is not None and row["p99_ms"] is None and row["reason"] == "10 runs are too few for p99"


def test_random_pixels_are_called_so(onnx_artifact: Path, host: Target) -> None:
    measurement, _ = benchmark(onnx_artifact, QUICK, target=host)
    assert measurement is not None and measurement["input"] == "random pixels"


def test_a_fixed_batch_size_is_not_measured_at_another(
    subject: Any, save: Callable[..., Path], tmp_path: Path, host: Target
) -> None:
    import torch

    example = torch.zeros(2, 3, 12, 12)
    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"]}
    torch.onnx.export(subject.model, (example,), tmp_path / "model.onnx", dynamo=False, **names)
    save(tmp_path, "onnx", "onnxruntime", "model.onnx", batch=2)
    section = QUICK.model_copy(update={"batch_sizes": [2, 4]})
    measurement, _ = benchmark(tmp_path, section, images=subject.images, target=host)
    assert measurement is not None
    measured, refused = measurement["latency"]
    assert measured["p50_ms"] > 0
    assert refused["p50_ms"] is None and refused["reason"] == "the file has a fixed batch size of 2"


def test_a_tflite_graph_that_mixes_samples_when_resized_is_found(
    tmp_path: Path, save: Callable[..., Path], subject: Any, host: Target
) -> None:
    import litert_torch
    import torch

    class ConstantReshape(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(3 * 12 * 12, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.reshape(1, 3 * 12 * 12))

    converted = litert_torch.convert(ConstantReshape().eval(), (torch.zeros(1, 3, 12, 12),))
    converted.export(str(tmp_path / "model.tflite"))
    save(tmp_path, "tflite", "litert", "model.tflite", batch=1)
    section = QUICK.model_copy(update={"batch_sizes": [1, 2]})
    measurement, _ = benchmark(tmp_path, section, images=subject.images, target=host)
    assert measurement is not None
    one, two = measurement["latency"]
    assert one["p50_ms"] > 0
    assert two["p50_ms"] is None and "batches of 2" in two["reason"]


def test_an_artifact_for_another_machine_is_not_timed(onnx_artifact: Path) -> None:
    elsewhere = "raspberry-pi-5" if device.architecture() == "x86_64" else "x86-avx2"
    measurement, reason = benchmark(onnx_artifact, QUICK, target=Target.load(elsewhere))
    assert measurement is None
    assert reason is not None and reason.startswith(f"not timed, the machine is no {elsewhere}: this machine is")


def test_a_manifest_with_an_unknown_target_is_an_error(onnx_artifact: Path, tmp_path: Path) -> None:
    import shutil

    from edgekd.artifact import Artifact

    folder = Path(shutil.copytree(onnx_artifact, tmp_path / "copy"))
    Artifact.load(folder).model_copy(update={"target": "raspberry-pi-55"}).save(folder)
    with pytest.raises(TargetError, match="did you mean 'raspberry-pi-5'"):
        benchmark(folder, QUICK)


def test_the_time_limit_ends_the_process(onnx_artifact: Path, host: Target) -> None:
    section = BenchmarkSection(batch_sizes=[2048], threads=[1], min_time_s=60, time_limit_s=3)
    with pytest.raises(BenchmarkError, match="took longer than 3 s"):
        benchmark(onnx_artifact, section, target=host)


def test_the_recipe_section_refuses_what_cannot_be_measured() -> None:
    for fields in (
        {"batch_sizes": []},
        {"batch_sizes": [0]},
        {"threads": [1, 1]},
        {"threads": [5000]},
        {"warmup": 0},
        {"runs": 1},
        {"time_limit_s": 0},
        {"min_time_s": float("inf")},
        {"batch_size": 1},
    ):
        with pytest.raises(ValidationError):
            BenchmarkSection.model_validate(fields)


def test_a_doubtful_timing_says_why() -> None:
    quiet = {"busy_cores": 0.1, "throttled": "0", "governor": "performance"}
    rows = [{"batch_size": 1, "threads": n, "others_busy_cores": cores} for n, cores in ((1, None), (2, BUSY_CORES))]
    assert disturbances(quiet, rows, 2) == []
    assert disturbances({"busy_cores": None, "throttled": None, "governor": None}, rows, 2) == []
    rows.append({"batch_size": 8, "threads": 2, "others_busy_cores": BUSY_CORES + 0.05})
    assert disturbances(quiet, rows, 2) == ["others used 0.3 of 2 cores while it was timed (batch 8, threads: 2)"]
    doubtful = {"busy_cores": 1.0, "throttled": "50005", "governor": "ondemand"}
    busy, throttled, governed = disturbances(doubtful, rows[:2], 2)
    assert busy == "the machine was busy: others used 1.0 of 2 cores"
    assert "50005" in throttled and "ondemand" in governed


def test_links_are_a_family() -> None:
    assert "local" in LINKS.names()
    assert LINKS.parse("local").model_dump() == {"local": {}}
