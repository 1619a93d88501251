"""What a teacher costs in training: cached outputs against a teacher in every step, and each loss against plain `kl`.

ResNet-56 teaches ResNet-20 on 32x32 noise, batch 128, one thread, float32 or bfloat16 as `auto` chooses; the time does
not depend on the pixels. Each training takes its steps in turns with one of plain `kl`, and the figure is the median
over the pairs of steps of the ratio of CPU seconds: a machine's speed drifts by more than what is measured here. Losses
are timed with the teacher in every step, as those that compare inner layers need it. BERT's losses: 6 layers teach 3,
width 384, 32 texts of 32 tokens. Bound by: convolutions of both networks.

    python -m tests.benchmarks.bench_distill_speed [--pairs 40]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgekd.data.arrays import ImageData, Preprocess
from edgekd.distill import LOSSES, DistillSection
from edgekd.distill.loop import Training
from edgekd.distill.objective import Objective
from edgekd.distill.task import Task
from edgekd.distill.teacher import freeze
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.models.source import MODELS
from edgekd.progress import QUIET

BATCH = 128
TRAIN: dict[str, Any] = {"epochs": 1, "optimizer": {"sgd": {"lr": 0.001}}, "threads": 1}
"""A low rate: what diverges is not timed."""
FEATURES: dict[str, Any] = {
    "hint": {"pairs": "uniform"},
    "low_rank": {"pairs": "uniform"},
    "review": {"pairs": "uniform"},
    "mgd": {"pairs": {"layer3": "layer3"}},
    "attention": {"pairs": "uniform"},
    "similarity": {"pairs": "last"},
    "rkd": {"student": "layer3", "teacher": "layer3"},
    "crd": {},
}
RESPONSES = ("soft_ce", "dkd", "logit_standardization", "dist", "taid")
TEXTS = ("tinybert", "minilm", "pkd")
ALLOWED = ("crd", "review", "mgd on every stage")
"""Losses whose papers say that they cost more, and one on more layers than its paper takes."""


def images(steps: int) -> ImageData:
    """Noise for this many steps, all of it for training."""
    rng = np.random.default_rng(0)
    count = BATCH * steps
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    preprocess = Preprocess((0.5,) * 3, (0.25,) * 3, (32, 32), 3)
    labels, split = np.arange(count) % 10, np.zeros(count, np.uint8)
    return ImageData(
        images=pixels,
        labels=labels,
        split=split,
        classes=tuple("abcdefghij"),
        preprocess=preprocess,
        calibration=pixels[:8],
        facts={"sha256": "noise"},
    )


def network(depth: int) -> nn.Module:
    """A fresh CIFAR ResNet."""
    torch.manual_seed(depth)
    return MODELS.parse({"cifar_resnet": {"depth": depth}}).build(10, 3)


def teacher() -> nn.Module:
    """ResNet-56 that has seen the noise: with its first statistics, batch normalisation lets features explode."""
    model = network(56).train()
    with torch.no_grad():
        for _ in range(30):
            model(torch.randn(32, 3, 32, 32) * 1.2)
    return model


def steps(data: ImageData, losses: list[Any], teaches: nn.Module | TeacherCache) -> Iterator[int]:
    """A training, one step per item."""
    section = DistillSection.model_validate({"losses": losses, "train": {**TRAIN, "batch_size": BATCH}})
    cached = isinstance(teaches, TeacherCache)
    whose: dict[str, Any] = {"cache": teaches} if cached else {"teacher": copy.deepcopy(teaches)}
    return Training(Task(network(20), data, section.train, section.losses, 0, **whose), QUIET).remaining_steps()


def text_steps(name: str) -> Iterator[None]:
    """The training of a 3-layer BERT that learns from a 6-layer one, one step per item."""
    from transformers import BertConfig, BertModel

    class Classifier(nn.Module):
        def __init__(self, layers: int) -> None:
            super().__init__()
            config = BertConfig(
                hidden_size=384, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=1536
            )
            config._attn_implementation = "eager"
            self.bert, self.head = BertModel(config), nn.Linear(384, 77)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.head(self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.mean(1))

    torch.manual_seed(0)
    student, teacher = Classifier(3).train(), freeze(Classifier(6))
    ids, mask = torch.randint(0, 30000, (32, 32)), torch.ones(32, 32, dtype=torch.int64)
    labels = torch.randint(0, 77, (32,))
    losses = [LOSSES.parse("kl"), *([] if name == "kl" else [LOSSES.parse(name)])]
    objective = Objective(losses, student, teacher, (ids, mask), classes=77)
    parameters = [*student.parameters(), *objective.projectors.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    while True:
        with torch.no_grad():
            answers = teacher(ids, mask)
        total, _ = objective(student(ids, mask), labels, answers, mask=mask.bool())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        yield


def ratio(steps: Iterator[Any], plain: Iterator[Any], pairs: int) -> float:
    """CPU seconds of a step over those of a plain one: the median of `pairs`, after two that allocate."""
    found: list[float] = []
    for pair in range(2 + pairs):
        seconds: list[float] = []
        for training in (steps, plain) if pair % 2 else (plain, steps):
            start = time.process_time()
            next(training)
            seconds.append(time.process_time() - start)
        found.append(seconds[0] / seconds[1] if pair % 2 else seconds[1] / seconds[0])
    return statistics.median(found[2:])


def main() -> None:
    """Prints the figures as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    data, teaches = images(2 + pairs), teacher()
    with tempfile.TemporaryDirectory() as name:
        section = DistillSection.model_validate({"losses": ["kl"]})
        cache = TeacherCache.write(Path(name) / "cache", teaches, data, section, seed=0, progress=QUIET)
        cached = ratio(steps(data, ["kl"], cache), steps(data, ["kl"], teaches), pairs)
    plans: dict[str, list[Any]] = {loss: ["kl", {loss: options}] for loss, options in FEATURES.items()}
    plans |= {"kl": ["kl"], "mgd on every stage": ["kl", {"mgd": {"pairs": "last"}}]}
    plans |= {loss: ["kl", loss] for loss in RESPONSES}
    found: dict[str, float] = {}
    for loss, losses in plans.items():
        found[loss] = ratio(steps(data, losses, teaches), steps(data, ["kl"], teaches), pairs)
    found |= {loss: ratio(text_steps(loss), text_steps("kl"), pairs) for loss in TEXTS}
    row = {
        "benchmark": "distill_speed",
        "online_over_cached": round(1 / cached, 2),
        "added_percent": {name: round(100 * (value - 1), 1) for name, value in found.items()},
        "limits": {"online_over_cached": 1.5, "added_percent": 15, "except": list(ALLOWED)},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
