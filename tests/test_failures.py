"""One format, one runtime or one target that fails ends no run: the others are made, and the report has the reason."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from edgekd.target import Target

from .conftest import EDGEKD, call

HOST = Target.host().name
NETWORKS = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes, middle):
        super().__init__()
        self.conv, self.fc, self.middle = nn.Conv2d(channels, 8, 3, stride=2), nn.Linear(8, classes), middle

    def forward(self, x):
        return self.fc(self.middle(torch.relu(self.conv(x)).mean((2, 3))))


def spectrum(classes, channels):  # OpenVINO reads no complex tensors
    return Net(channels, classes, lambda x: torch.fft.rfft(x, dim=1).abs() @ torch.ones(5, 8))


def inverse_error(classes, channels):  # no format has erfinv
    return Net(channels, classes, lambda x: torch.erfinv(torch.tanh(x)))


def fixed(classes, channels):
    return Net(channels, classes, lambda x: x.reshape(8, -1))
"""
RECIPE = """\
name: odd
data: {{reader: mnist5k, size: [28, 28], channels: 1, calibration: {{samples: 128}}}}
student: {{model: {{function: {{name: "odd_networks:{network}"}}}}}}
distill:
  losses: [ce]
  train: {{epochs: {epochs}, batch_size: 256, optimizer: {{sgd: {{lr: 0.05}}}}}}
compress: {{method: {{int8_static: {{ranges: minmax}}}}}}
targets: [host, jetson-orin-nano]
benchmark: {{batch_sizes: [1], threads: [1], warmup: 1, runs: 2, min_time_s: 0}}
gates: {{int8_agreement: 0.5, accuracy_drop_points: 30, latency_p50_ms: 0.000001}}
"""


def written(folder: Path, network: str, epochs: int = 1) -> Path:
    (folder / "odd_networks.py").write_text(NETWORKS)
    path = folder / "odd.yaml"
    path.write_text(RECIPE.format(network=network, epochs=epochs))
    return path


def deadly(folder: Path, runtime: str) -> dict[str, str]:
    """An environment in which a runtime dies of SIGSEGV when the measuring agent imports it, and only there."""
    folder.mkdir()
    (folder / f"{runtime}.py").write_text(
        textwrap.dedent(f"""\
        import os, signal, sys
        if sys.argv[0].endswith("agent"):
            os.kill(os.getpid(), signal.SIGSEGV)
        sys.path.remove(os.path.dirname(__file__))
        del sys.modules["{runtime}"]
        import {runtime}
        """)
    )
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def rows(run: Path) -> dict[str, Any]:
    return {row["path"]: row for row in json.loads((run / "report.json").read_text())["artifacts"]}


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """OpenVINO cannot hold the network, ONNX Runtime dies where it is measured, and a gate is breached."""
    folder = tmp_path_factory.mktemp("odd")
    recipe = written(folder, "spectrum")
    stale = folder / "runs" / "odd" / HOST / "openvino-int8"
    stale.mkdir(parents=True)
    (stale / "model.xml").write_text("of an earlier network")
    environment = deadly(folder / "deadly", "onnxruntime")
    command = [str(EDGEKD), "run", str(recipe)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    return done, folder / "runs" / "odd"


def test_what_fails_is_reported_and_the_rest_is_made(odd_run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, run = odd_run
    assert done.returncode == 9 and "Traceback" not in done.stderr, done.stderr
    found = rows(run)
    for precision in ("float32", "int8"):
        assert "OpenVINO cannot convert the network" in found[f"{HOST}/openvino-{precision}"]["failed"]
        for path in (f"{HOST}/onnx-{precision}", f"jetson-orin-nano/tensorrt-{precision}"):
            assert "the measuring agent was killed by SIGSEGV" in found[path]["failed"]
            assert found[path]["size_bytes"] > 0 and found[path]["accuracy"] is None
        row = found[f"{HOST}/tflite-{precision}"]
        assert row["failed"] is None and row["accuracy"]["samples"] == 1000 and row["measurement"] is not None
    for name in ("report.html", "report.md"):
        text = (run / name).read_text()
        assert "8 of 10 files failed" in text and "killed by SIGSEGV" in text


def test_an_earlier_runs_file_does_not_stand_for_one_that_failed(
    odd_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    assert not (odd_run[1] / HOST / "openvino-int8").exists()


def test_failures_and_breached_gates_are_told_together(
    odd_run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    last = odd_run[0].stderr[odd_run[0].stderr.index("error:") :]
    assert "8 of 10 files failed and 2 of 8 gates breached" in last
    assert f"{HOST}/openvino-int8: OpenVINO cannot convert" in last and "latency is" in last
    assert "report.html; everything that was made is kept there" in last


def test_runtimes_that_die_alone_have_a_code_of_their_own(tmp_path: Path) -> None:
    recipe = written(tmp_path, "spectrum")
    recipe.write_text(recipe.read_text().replace("[host, jetson-orin-nano]", "[jetson-orin-nano]"))
    command = [str(EDGEKD), "run", str(recipe)]
    environment = deadly(tmp_path / "deadly", "onnxruntime")
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 10, done.stderr
    assert "4 of 4 files failed" in done.stderr


def test_where_nothing_can_be_made_nothing_is_trained(tmp_path: Path) -> None:
    recipe = written(tmp_path, "fixed", epochs=1000)
    for arguments in (["run", recipe], ["check", "--deep", recipe]):
        done = call(*arguments, cwd=tmp_path)
        assert done.returncode == 9 and "training" not in done.stderr, done.stderr
        assert "onnx, tflite, tensorrt: the network has a batch size built in: it takes 8 alone" in done.stderr
