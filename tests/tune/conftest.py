"""A recipe whose search takes seconds: 200 shipped digits, small networks, one epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekd.recipe import LoadedRecipe, load_recipe

RECIPE = """\
name: searched
data:
  reader: {shipped: {domain: digits}}
  size: [12, 12]
  channels: 1
  calibration: {samples: 32}
teacher:
  model: {cifar_resnet: {depth: 8}}
  train: {epochs: 1, batch_size: 16, threads: 1}
student:
  model: {cifar_resnet: {depth: 8}}
distill:
  losses: [ce: {weight: 0.5}, kl: {weight: 0.5, temperature: 4}]
  train: {epochs: 1, batch_size: 8, threads: 1}
targets: [host]
export: {formats: [onnx]}
benchmark: {batch_sizes: [1], threads: [1], warmup: 2, runs: 3}
search:
  trials: 3
  fraction: 0.5
  space:
    distill.losses.kl.temperature: {low: 1, high: 10}
    distill.losses.kl.weight: {low: 0.1, high: 0.9, complement: distill.losses.ce.weight}
    distill.train.optimizer.sgd.lr: {low: 0.01, high: 0.5, log: true}
    student.model.cifar_resnet.depth: {choices: [8, 14]}
"""


def write(folder: Path, **changes: Any) -> Path:
    """The recipe as a file, with keys of its search section replaced."""
    raw = yaml.safe_load(RECIPE)
    raw["search"].update(changes)
    path = folder / "searched.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    """The recipe above."""
    return load_recipe(write(tmp_path))
