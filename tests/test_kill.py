"""kill -9 in the middle of every stage: the next run continues, and its results are those of a run left in peace."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PROGRAM = Path(__file__).with_name("killed_run.py")
RECIPE = """\
name: tiny
data:
  reader: {{image_folder: {{path: {images}}}}}
  size: 8
  channels: 1
  calibration: {{samples: 40}}
teacher:
  model: &resnet {{cifar_resnet: {{depth: 8}}}}
  train: &train {{epochs: 1, batch_size: 16, threads: 1, checkpoint_every_s: 0.01}}
student: {{model: *resnet}}
distill: {{losses: [ce: {{weight: 0.5}}, kl: {{weight: 0.5}}], train: *train}}
compress: {{method: {{int8_static: {{ranges: minmax}}}}}}
export: {{formats: [onnx]}}
targets: [host]
benchmark: {{threads: [1], warmup: 1, runs: 2, min_time_s: 0}}
gates: {{int8_agreement: 0.5, accuracy_drop_points: 50}}
"""
# Where each stage writes; for those whose file the agent writes, the moment at which it is at work.
STORED = ("data", "teacher", "teacher_outputs", "student", "evaluation", "description", "export")
BY_THE_AGENT = ("verification", "measurement")
STAGES = {
    **{stage: f".store/{stage}/*.work/*" for stage in STORED},
    **dict.fromkeys(BY_THE_AGENT, "agent"),
    "placing": "run/*/.onnx-*.staging/*",
    "report": "run/.report.html*",
}
# What a stage has made in its middle, and what it has not yet made in full.
MIDDLE = {
    "placing": ("run/*/.onnx-*.staging", "run/*/*/manifest.json"),
    "report": ("run/report.json", "run/report.html"),
}


class Tool:
    """The command line in forked children of one process."""

    def __init__(self) -> None:
        command = [sys.executable, str(PROGRAM)]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, folder: Path, pattern: str = "never/*") -> tuple[int, str]:
        """Exit code (negative: killed) and stderr of the recipe's run in `folder`, killed where `pattern` says."""
        errors = folder / "errors.txt"
        arguments = ["run", "../tiny.yaml", "--out", "run", "--store", ".store", "--quiet"]
        job = {"folder": str(folder), "pattern": pattern, "arguments": arguments, "errors": str(errors)}
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline()), errors.read_text()


def results(folder: Path) -> dict[str, Any]:
    """Every digest and verdict of a finished run; its timings belong to the moment."""
    entries = {path: json.loads(path.read_text()) for path in (folder / ".store").rglob("entry.json")}
    manifests = (folder / "run").rglob("manifest.json")
    report = json.loads((folder / "run" / "report.json").read_text())
    return {
        "store": {path.relative_to(folder).as_posix(): entry["digest"] for path, entry in entries.items()},
        "artifacts": {path.parent.name: json.loads(path.read_text())["files"] for path in manifests},
        "gates": [{**gate, "passed": True} for gate in report["gates"]],
        "accuracy": [row["accuracy"] for row in [*report["models"], *report["artifacts"]]],
    }


def leftovers(folder: Path) -> list[str]:
    """What a killed run leaves behind for the next one."""
    marks = (".work", ".staging", ".partial", ".tmp", ".damaged")
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.endswith(marks))


@pytest.fixture(scope="module")
def tool() -> Iterator[Tool]:
    """One process that imports torch once for all runs."""
    tool = Tool()
    with tool.server:
        yield tool


@pytest.fixture(scope="module")
def peace(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to its end: bright images on the left, on the right, and in the middle."""
    folder = tmp_path_factory.mktemp("kill")
    rng = np.random.default_rng(0)
    for index in range(240):
        pixels = rng.integers(0, 90, (8, 8), np.uint8)
        pixels[:, (index % 3) * 3 : (index % 3) * 3 + 2] += 120
        path = folder / "images" / "lmr"[index % 3] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (folder / "tiny.yaml").write_text(RECIPE.format(images=folder / "images"))
    (folder / "peace").mkdir()
    code, errors = tool.run(folder / "peace")
    assert code == 0, errors
    return folder / "peace"


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_is_made_again_alike(stage: str, tool: Tool, peace: Path) -> None:
    folder = peace.parent / stage
    shutil.copytree(peace / ".store", folder / ".store", ignore=shutil.ignore_patterns("*.lock"))
    shutil.rmtree(folder / ".store" / stage, ignore_errors=True)
    code, errors = tool.run(folder, STAGES[stage])
    assert code == -signal.SIGKILL, errors
    begun, ended = MIDDLE.get(stage, (f".store/{stage}/*.work", f".store/{stage}/*/entry.json"))
    assert list(folder.glob(begun)) and len(list(folder.glob(ended))) < len(list(peace.glob(ended)))
    await_the_end_of_agents(folder)
    code, errors = tool.run(folder)
    assert code == 0, errors
    assert results(folder) == results(peace)
    assert leftovers(folder) == []


def await_the_end_of_agents(folder: Path) -> None:
    """Nobody writes into the store any more: an agent ends with the run that asked for it."""
    deadline = time.monotonic() + 30
    while agents := [path for path in Path("/proc").glob("[0-9]*/cwd") if belongs(path, folder)]:
        assert time.monotonic() < deadline, agents
        time.sleep(0.01)


def belongs(path: Path, folder: Path) -> bool:
    """Whether a process has this working folder."""
    try:
        return path.readlink() == folder
    except OSError:
        return False
