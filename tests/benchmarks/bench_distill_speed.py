"""What a teacher costs in training: cached outputs against a teacher in every step, and each loss against plain `kl`.

ResNet-56 teaches ResNet-20 on 32x32 noise, batch 128, one thread, float32 or bfloat16 as `auto` chooses; the time does
not depend on the pixels. What a step takes is the median of an epoch's steps in CPU seconds. Around every loss plain
`kl` is timed, before and after, and the loss is compared with the mean of the two: a machine's speed drifts by more
than what is measured here. The figure is the median of these ratios over the rounds, each of which goes through the
losses in another order. Losses are timed with the teacher in every step, as those that compare inner layers need it.
BERT's losses: 6 layers teach 3, width 384, 32 texts of 32 tokens. Bound by: convolutions of both networks.

    python -m tests.benchmarks.bench_distill_speed [--rounds 5]
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from edgekd.data.arrays import ImageData, Preprocess
from edgekd.distill import LOSSES, DistillSection, train
from edgekd.distill.objective import Objective
from edgekd.distill.teacher import freeze
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.models.source import MODELS
from edgekd.progress import QUIET, Progress

T = TypeVar("T")
BATCH, STEPS = 128, 14
TRAIN: dict[str, Any] = {"epochs": 1, "optimizer": {"sgd": {"lr": 0.001}}, "threads": 1}
"""A low rate: what diverges is not timed."""
FEATURES: dict[str, Any] = {
    "hint": {"pairs": "uniform"},
    "low_rank": {"pairs": "uniform"},
    "review": {"pairs": "uniform"},
    "mgd": {"pairs": "last"},
    "attention": {"pairs": "uniform"},
    "similarity": {"pairs": "last"},
    "rkd": {"student": "layer3", "teacher": "layer3"},
    "crd": {},
}
RESPONSES = ("soft_ce", "dkd", "logit_standardization", "dist", "taid")
TEXTS = ("tinybert", "minilm", "pkd")
ALLOWED = ("crd", "review")
"""Losses whose papers say that they cost more."""


def images() -> ImageData:
    """Noise, all of it for training."""
    rng = np.random.default_rng(0)
    count = BATCH * STEPS
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


@dataclass(frozen=True)
class Clock(Progress):
    """Notes the CPU time at every step.

    Attributes:
        seconds: of the process, before each step and after the last one.
    """

    quiet: bool = True
    seconds: list[float] = field(default_factory=list[float])

    def track(self, iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """The steps of an epoch, not the batches of a validation."""
        for item in iterable:
            if label.startswith("epoch"):
                self.seconds.append(time.process_time())
            yield item
        if label.startswith("epoch"):
            self.seconds.append(time.process_time())


def step_s(data: ImageData, losses: list[Any], teaches: nn.Module | TeacherCache) -> float:
    """CPU seconds of an epoch's median step, without the first two, which allocate."""
    section = DistillSection.model_validate({"losses": losses, "train": {**TRAIN, "batch_size": BATCH}})
    cached, clock = isinstance(teaches, TeacherCache), Clock()
    whose: dict[str, Any] = {"cache": teaches} if cached else {"teacher": copy.deepcopy(teaches)}
    with tempfile.TemporaryDirectory() as work:
        model, how = network(20), section.train
        train(model, data, how, section.losses, seed=0, work=Path(work), progress=clock, **whose)
    return median_step(clock.seconds[2:])


def median_step(seconds: list[float]) -> float:
    """The median distance of the moments at which steps began."""
    return statistics.median(end - start for start, end in itertools.pairwise(seconds))


def text_step_s(name: str, steps: int = 8) -> float:
    """CPU seconds of the median step of a 3-layer BERT that learns from a 6-layer one."""
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
    seconds: list[float] = []
    for _ in range(steps + 1):
        seconds.append(time.process_time())
        with torch.no_grad():
            answers = teacher(ids, mask)
        total, _ = objective(student(ids, mask), labels, answers, mask=mask.bool())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    seconds.append(time.process_time())
    objective.close()
    return median_step(seconds[1:])


def ratios(
    rounds: int, plain: Callable[[], float], others: Mapping[str, Callable[[], float]]
) -> dict[str, list[float]]:
    """Every measurement over the mean of the plain ones before and after it, once per round."""
    found: dict[str, list[float]] = {name: [] for name in others}
    plain()  # the first one pays for what all of them use
    for turn in range(rounds):
        before = plain()
        for name in random.Random(turn).sample(list(others), len(others)):
            value, after = others[name](), plain()
            found[name].append(2 * value / (before + after))
            before = after
    return found


def main() -> None:
    """Prints the figures as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    data, teaches = images(), teacher()
    plans: dict[str, list[Any]] = {loss: ["kl", {loss: options}] for loss, options in FEATURES.items()}
    plans |= {loss: ["kl", loss] for loss in RESPONSES}
    others = {loss: partial(step_s, data, losses, teaches) for loss, losses in plans.items()}
    with tempfile.TemporaryDirectory() as name:
        section = DistillSection.model_validate({"losses": ["kl"]})
        cache = TeacherCache.write(Path(name) / "cache", teaches, data, section, seed=0, progress=QUIET)
        others["cached"] = partial(step_s, data, ["kl"], cache)
        found = ratios(rounds, partial(step_s, data, ["kl"], teaches), others)
    cached = found.pop("cached")
    found |= ratios(rounds, partial(text_step_s, "kl"), {loss: partial(text_step_s, loss) for loss in TEXTS})
    row = {
        "benchmark": "distill_speed",
        "online_over_cached": round(1 / statistics.median(cached), 2),
        "added_percent": {key: round(100 * (statistics.median(values) - 1), 1) for key, values in found.items()},
        "added_percent_range": {
            key: [round(100 * (value - 1), 1) for value in (min(values), max(values))] for key, values in found.items()
        },
        "limits": {"online_over_cached": 1.5, "added_percent": 15, "except": list(ALLOWED)},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
