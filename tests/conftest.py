"""Shared fixtures: a small real run that several tests look at, and the command line as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
EDGEKD = Path(sys.executable).with_name("edgekd")
RECIPE = """\
name: small
data:
  reader: mnist5k
  size: [28, 28]
  channels: 1
  calibration: {samples: 128}
teacher:
  model: {cifar_resnet: {depth: 8}}
  train: {epochs: 1, batch_size: 64, optimizer: {sgd: {lr: 0.1}}}
student:
  model: {cifar_resnet: {depth: 8}}
distill:
  losses: [ce: {weight: 0.1}, kl: {weight: 0.9, temperature: 4}]
  train: {epochs: 1, batch_size: 64, optimizer: {sgd: {lr: 0.1}}}
  baselines: [student_alone]
compress: {method: {int8_static: {ranges: minmax}}}
targets: [host, raspberry-pi-5, jetson-orin-nano]
benchmark: {batch_sizes: [1], threads: [1], warmup: 3, runs: 20}
gates: {int8_agreement: 0.9, accuracy_drop_points: 3}
"""

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def networks() -> Any:
    """The module `text_networks.py` beside this file."""
    spec = spec_from_file_location("text_networks", Path(__file__).with_name("text_networks.py"))
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(*arguments: object, cwd: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Runs `edgekd` as a user does, without a terminal."""
    command = [str(EDGEKD), *map(str, arguments)]
    return subprocess.run(
        command,
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "120"},
    )


@pytest.fixture
def edgekd(tmp_path: Path) -> Cli:
    """The command line in an empty folder."""
    return lambda *arguments, cwd=tmp_path, timeout=600: call(*arguments, cwd=cwd, timeout=timeout)


@dataclass(frozen=True)
class SmallRun:
    """A finished run of the recipe above."""

    folder: Path
    recipe: Path
    out: Path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """The whole pipeline on real digits, once per test session."""
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "small.yaml"
    recipe.write_text(RECIPE)
    done = call("run", recipe, cwd=folder)
    assert done.returncode == 0, done.stderr
    return SmallRun(folder, recipe, folder / "runs" / "small")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder: a random BERT of 2 layers and width 32, and a WordPiece tokenizer of 30-odd tokens."""
    import json

    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    from edgekd.models import ModelSection, load

    folder = tmp_path_factory.mktemp("tiny_bert")
    text = "my card is lost the app broke please help with a transfer not here yet in out of now"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *text.split(), "##s", "##ed", "!", "?", "."]
    tokenizer = Tokenizer(models.WordPiece({name: i for i, name in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: cc0-1.0\n---\nlicense: none\n")
    model = load(ModelSection.model_validate({"model": {"transformers": {"path": str(folder)}}}), 3, 0, seed=7)
    encoder = {name: value for name, value in model.state_dict().items() if not name.startswith("classifier")}
    save_file(encoder, folder / "model.safetensors")
    return folder


TOPICS = {"card": "my card is lost", "app": "the app broke", "transfer": "a transfer is not here"}


@pytest.fixture(scope="session")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 texts of 3 topics and 7 to 21 words; the topic's own words are among them."""
    import random

    chance = random.Random(0)
    filler = ["please", "help", "with", "now", "in", "out", "of", "yet", "!", "?"]
    path = tmp_path_factory.mktemp("tickets") / "tickets.csv"
    lines = ["text,label"]
    for row in range(240):
        topic = list(TOPICS)[row % 3]
        words = [*TOPICS[topic].split()[-2:], topic, *chance.choices(filler, k=chance.randint(3, 17)), f"x{row}"]
        chance.shuffle(words)
        lines.append(f"{' '.join(words)},{topic}")
    path.write_text("\n".join(lines) + "\n")
    return path
