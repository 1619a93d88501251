"""Trains once in peace and once under fire, and prints both results as JSON. A program, run by test_loop.py.

    python killed_training.py FOLDER KILLS SEED

Every attempt is a forked child; the parent kills it with SIGKILL after a random delay, KILLS times, then lets it end.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo
from torch import nn

from edgekd.data.arrays import ImageData, Preprocess
from edgekd.distill import train
from edgekd.distill.digest import weights_digest
from edgekd.distill.loss import LOSSES
from edgekd.distill.settings import TrainSettings
from edgekd.progress import QUIET

SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 16,
    "optimizer": {"sgd": {"lr": 0.05}},
    "augment": {"crop_padding": 2, "flip": True},
    "clip_norm": 1.0,
    "checkpoint_every_s": 0.001,
    "threads": 1,
}


def network(width: int) -> nn.Sequential:
    """Convolution, batch statistics and dropout: everything whose state must survive."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(width, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 4),
    )  # fmt: skip


def dataset() -> ImageData:
    """Noise with a trace of the class in it: validation accuracy goes up and down, so the best epoch matters."""
    rng = np.random.default_rng(0)
    labels = np.arange(480) % 4
    images = rng.integers(0, 200, (480, 16, 16, 3), dtype=np.uint8)
    images[:, :, :, 0] += (labels * 8).astype(np.uint8)[:, None, None]
    split = np.array([0, 0, 0, 1], np.uint8)[np.arange(480) // 4 % 4]
    preprocess = Preprocess((0.4,) * 3, (0.25,) * 3, (16, 16), 3)
    return ImageData(
        images=images,
        labels=labels,
        split=split,
        classes=("a", "b", "c", "d"),
        preprocess=preprocess,
        calibration=images[:8],
        facts={"sha256": "noise"},
    )


def attempt(folder: Path) -> None:
    """One training from wherever `folder` stands; writes `result.json` when it gets to its end."""
    torch.manual_seed(7)
    student, teacher = network(8), network(12)
    losses = [LOSSES.parse({"ce": {"weight": {"from": 0.3, "to": 0}}}), LOSSES.parse({"kl": {"weight": 0.7}})]
    losses.append(LOSSES.parse({"taid": {"alpha": 0.1, "beta": 0.5}}))
    losses.append(LOSSES.parse({"hint": {"student": "4", "teacher": "4", "weight": 0.5}}))
    settings = TrainSettings.model_validate(SETTINGS)
    story = train(student, dataset(), settings, losses, seed=5, work=folder, progress=QUIET, teacher=teacher)
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in story.pop("epochs")]
    result = {"weights": weights_digest(student), "story": story, "rows": rows}
    (folder / "result.json").write_text(json.dumps(result, sort_keys=True))


def fork(folder: Path) -> int:
    """Starts an attempt in a child; torch has computed nothing in this process, so forking it is safe."""
    pid = os.fork()
    if pid == 0:
        attempt(folder)
        os._exit(0)
    return pid


def wait_for_checkpoints(state: Path, count: int) -> None:
    """Returns once the file was replaced `count` times (replacements within a millisecond count once)."""
    seen = state.stat().st_mtime_ns if state.exists() else 0
    deadline = time.monotonic() + 60
    while count and time.monotonic() < deadline:
        time.sleep(0.001)
        now = state.stat().st_mtime_ns if state.exists() else 0
        count -= now != seen
        seen = now


def main(folder: Path, kills: int, seed: int) -> None:
    """Runs both trainings and prints what came out."""
    os.waitpid(fork(folder / "peace"), 0)
    rng = random.Random(seed)
    state = folder / "fire" / "training.state"
    killed, states = 0, set[str]()
    while not (folder / "fire" / "result.json").exists():
        pid = fork(folder / "fire")
        if killed < kills:
            wait_for_checkpoints(state, rng.randint(1, 12))
            time.sleep(rng.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
            states.add(hashlib.sha256(state.read_bytes()).hexdigest())
        else:
            os.waitpid(pid, 0)
    results = {name: json.loads((folder / name / "result.json").read_text()) for name in ("peace", "fire")}
    print(json.dumps({**results, "killed": killed, "distinct_states": len(states)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
