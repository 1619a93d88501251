"""The main job, end to end, as a user runs it; then what may and may not be done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.artifact import Artifact
from edgekd.target import Target

from .conftest import EDGEKD, RECIPE, SmallRun, call

HOST = Target.host().name
HOLDS = """
import sys
from pathlib import Path
from edgekd.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def document(run: Path) -> dict[str, Any]:
    return json.loads((run / "report.json").read_text())


def entries(folder: Path, stage: str) -> set[str]:
    return {path.name for path in (folder / "runs" / ".store" / stage).glob("*") if (path / "entry.json").is_file()}


def test_every_target_gets_verified_artifacts(small_run: SmallRun) -> None:
    numbers = document(small_run.out)
    made = {(row["target"], row["format"], row["precision"]) for row in numbers["artifacts"]}
    for expected in [
        *((HOST, name, precision) for name in ("onnx", "openvino", "tflite") for precision in ("float32", "int8")),
        *(("raspberry-pi-5", name, precision) for name in ("onnx", "tflite") for precision in ("float32", "int8")),
        *(("jetson-orin-nano", "tensorrt", precision) for precision in ("float32", "int8")),
    ]:
        assert expected in made
    for row in numbers["artifacts"]:
        assert Artifact.load(small_run.out / row["path"]).target == row["target"]
        assert row["accuracy"]["samples"] == 1000
        assert row["parity"]["top1_agreement"] > 0.9


def test_only_this_machine_is_timed(small_run: SmallRun) -> None:
    for row in document(small_run.out)["artifacts"]:
        if row["target"] == HOST:
            assert row["measurement"]["latency"][0]["p50_ms"] > 0
            assert row["measurement"]["peak_rss_above_runtime_bytes"] > 0
        else:
            assert row["measurement"] is None
            assert "this machine is not" in row["not_measured"]


def test_int8_files_hold_integers(small_run: SmallRun) -> None:
    rows = {(row["target"], row["format"], row["precision"]): row for row in document(small_run.out)["artifacts"]}
    for name in ("onnx", "tflite"):
        small, large = (rows[HOST, name, precision]["size_bytes"] for precision in ("int8", "float32"))
        assert small < 0.4 * large, name
    for name in ("onnx", "openvino"):
        notes = rows[HOST, name, "int8"]["notes"]
        assert sum(notes["integer_kernels"].values()) >= 8 and not notes["float_kernels"].get("Conv"), notes


def test_float_files_equal_the_torch_model(small_run: SmallRun) -> None:
    for row in document(small_run.out)["artifacts"]:
        if row["precision"] == "float32":
            assert row["parity"]["relative_max_error"] < 1e-4, row["path"]


def test_the_probe_in_an_artifact_is_the_torch_models_answer(small_run: SmallRun) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = small_run.out / HOST / "onnx-float32"
    artifact = Artifact.load(folder)
    images, expected = (np.load(folder / f"probe_{name}.npy") for name in ("images", "logits"))
    mean, std = (np.asarray(artifact.preprocess[name], np.float32) for name in ("mean", "std"))
    batch = ((images.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(folder / artifact.entry)
    (logits,) = session.run(None, {artifact.inputs[0].name: batch})
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_an_unchanged_recipe_does_nothing_again(small_run: SmallRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in (small_run.folder / "runs" / ".store").rglob("entry.json")}
    done = call("run", small_run.recipe, cwd=small_run.folder)
    assert done.returncode == 0, done.stderr
    after = {path: path.stat().st_mtime_ns for path in (small_run.folder / "runs" / ".store").rglob("entry.json")}
    assert after == before
    assert "training" not in done.stderr and "exporting" not in done.stderr


def test_an_unchanged_recipe_imports_no_torch(small_run: SmallRun) -> None:
    program = (
        "import sys\nfrom edgekd.cli import app\napp(standalone_mode=False)\n"
        "sys.exit(bool({'torch', 'onnx', 'openvino'} & set(sys.modules)))"
    )
    command = [str(EDGEKD.with_name("python")), "-c", program, "run", str(small_run.recipe), "--quiet"]
    subprocess.run(command, cwd=small_run.folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("change", "retrained"),
    [
        (("runs: 20", "runs: 21"), False),
        (("ranges: minmax", "ranges: percentile"), False),
        (("samples: 128", "samples: 120"), False),
        (("name: small", "name: other"), False),
        (("temperature: 4", "temperature: 2"), True),
        (("name: small", "name: small\nseed: 1"), True),
    ],
)
def test_what_is_trained_again(small_run: SmallRun, change: tuple[str, str], retrained: bool) -> None:
    recipe = small_run.folder / "changed.yaml"
    recipe.write_text(RECIPE.replace(*change).replace("[host, raspberry-pi-5, jetson-orin-nano]", "[host]"))
    before = entries(small_run.folder, "student")
    done = call("distill", recipe, cwd=small_run.folder)
    assert done.returncode == 0, done.stderr
    assert (entries(small_run.folder, "student") != before) is retrained


def test_a_flipped_byte_in_an_artifact_is_restored(small_run: SmallRun) -> None:
    path = small_run.out / HOST / "onnx-int8" / "model.onnx"
    good = path.read_bytes()
    path.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    refused = call("bench", path.parent, cwd=small_run.folder)
    assert refused.returncode == 7 and "changed after it was made" in refused.stderr
    done = call("run", small_run.recipe, cwd=small_run.folder)
    assert done.returncode == 0 and "written again" in done.stderr
    assert path.read_bytes() == good


@pytest.mark.parametrize("change", [{"mean": [0.0]}, {"size": [1, 1]}, {"classes": True}])
def test_a_manifest_that_was_changed_is_restored(small_run: SmallRun, change: dict[str, Any]) -> None:
    path = small_run.out / HOST / "onnx-int8" / "manifest.json"
    good = path.read_text()
    manifest = json.loads(good)
    if "classes" in change:
        manifest["classes"].reverse()
    else:
        manifest["preprocess"] |= change
    path.write_text(json.dumps(manifest))
    assert call("run", small_run.recipe, cwd=small_run.folder).returncode == 0
    assert path.read_text() == good


def test_what_a_manifest_quotes_reaches_it(small_run: SmallRun) -> None:
    other = small_run.folder / "renamed.yaml"
    other.write_text(RECIPE.replace("name: small", "name: renamed"))
    path = small_run.out / HOST / "onnx-int8" / "manifest.json"
    good = path.read_text()
    done = call("run", other, "--out", small_run.out, cwd=small_run.folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text())["recipe"]["name"] == "renamed"
    assert call("run", small_run.recipe, cwd=small_run.folder).returncode == 0
    assert path.read_text() == good


def test_two_runs_at_one_folder(small_run: SmallRun) -> None:
    """The one that comes second says so; one at another folder with the same store goes on."""
    command = [str(EDGEKD.with_name("python")), "-c", HOLDS, str(small_run.out)]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    second = call("run", small_run.recipe, cwd=small_run.folder)
    assert second.returncode == 7 and f"process {first.pid}" in second.stderr and "--out" in second.stderr
    third = call(
        "run", small_run.recipe, "--out", small_run.folder / "runs" / "third", "--target", "host", cwd=small_run.folder
    )
    assert third.returncode == 0, third.stderr
    first.kill()
    first.wait()
    assert call("run", small_run.recipe, cwd=small_run.folder).returncode == 0


def test_a_breached_gate_fails_with_figures_and_keeps_everything(small_run: SmallRun) -> None:
    recipe = small_run.folder / "strict.yaml"
    recipe.write_text(
        RECIPE.replace("gates: {", "gates: {latency_p50_ms: 0.000001, ").replace("raspberry-pi-5, jetson-orin-nano", "")
    )
    done = call("run", recipe, cwd=small_run.folder)
    assert done.returncode == 11
    assert "latency is" in done.stderr and "the limit is 1e-06" in done.stderr
    assert (small_run.folder / "runs" / "strict" / "report.html").is_file()
    assert Artifact.load(small_run.folder / "runs" / "strict" / HOST / "onnx-int8")


def test_ctrl_c_is_no_traceback(tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.replace("epochs: 1", "epochs: 50"))
    process = subprocess.Popen(
        # A test runner in the background ignores SIGINT, and its children inherit that.
        ["env", "--default-signal=INT", EDGEKD, "run", recipe],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    errors = ""
    while "epoch 1/50" not in errors:
        errors += process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    errors += process.stderr.read()
    process.wait(timeout=60)
    assert process.returncode == 130
    assert "interrupted; nothing is lost" in errors and "Traceback" not in errors


def test_an_unwritable_output_folder(small_run: SmallRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call("run", small_run.recipe, "--out", tmp_path / "file" / "run", "--store", tmp_path / "s", cwd=tmp_path)
    assert done.returncode == 7 and "--out" in done.stderr and "Traceback" not in done.stderr


def test_bench_measures_again_and_report_takes_it_up(small_run: SmallRun) -> None:
    folder = small_run.out / HOST / "onnx-int8"
    done = call("bench", folder, "--threads", 1, "--runs", 30, "--json", cwd=small_run.folder)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    measured = row["measurement"]["latency"][0]["p50_ms"]
    assert measured > 0
    assert call("report", small_run.out, cwd=small_run.folder).returncode == 0
    rows = {row["path"]: row for row in document(small_run.out)["artifacts"]}
    assert rows[f"{HOST}/onnx-int8"]["measurement"]["latency"][0]["p50_ms"] == measured
    (folder / "measurement.json").unlink()
    assert call("run", small_run.recipe, cwd=small_run.folder).returncode == 0


def test_bench_says_why_another_board_is_not_timed(small_run: SmallRun) -> None:
    done = call("bench", small_run.out / "raspberry-pi-5", cwd=small_run.folder)
    assert done.returncode == 0 and "aarch64" in done.stdout


def test_the_jetson_bundle_carries_what_builds_and_times_the_engine(small_run: SmallRun) -> None:
    folder = small_run.out / "jetson-orin-nano" / "tensorrt-int8"
    for name in (
        "model.onnx",
        "build_engine.py",
        "measure.json",
        "predict.json",
        "README.md",
        "agent/__main__.py",
        "agent/runtimes/tensorrt.py",
    ):
        assert (folder / name).is_file(), name
    rows = {row["path"]: row for row in document(small_run.out)["artifacts"]}
    assert rows["jetson-orin-nano/tensorrt-int8"]["accuracy"]["runtime"] == "onnxruntime"


def test_one_target_fewer_makes_nothing_else(small_run: SmallRun, tmp_path: Path) -> None:
    before = entries(small_run.folder, "export")
    arguments = ("run", small_run.recipe, "--target", "raspberry-pi-5", "--out", tmp_path / "pi")
    done = call(*arguments, "--store", small_run.folder / "runs" / ".store", cwd=small_run.folder)
    assert done.returncode == 0, done.stderr
    assert entries(small_run.folder, "export") == before
    assert sorted(path.name for path in (tmp_path / "pi").iterdir() if path.is_dir()) == ["raspberry-pi-5"]
