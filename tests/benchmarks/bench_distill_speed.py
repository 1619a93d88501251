"""What a teacher costs in training: cached outputs against a teacher in every step, and each loss against plain `kl`.

ResNet-56 teaches ResNet-20 on 32x32 noise, batch 128, one thread, float32 or bfloat16 as `auto` chooses; the time does
not depend on the pixels. Epochs of the same number of steps in interleaved rounds; the figure is the median over rounds
of the ratio of CPU seconds within a round. Losses are timed with the teacher in every step, as those that compare inner
layers need it. BERT's losses: 6 layers teach 3, width 384, 32 texts of 32 tokens.
Bound by: convolutions of both networks.

    python -m tests.benchmarks.bench_distill_speed [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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


def epoch_s(data: ImageData, losses: list[Any], work: Path, cache: TeacherCache | None = None) -> float:
    """CPU seconds of an epoch's steps but the first two, which allocate."""
    section = DistillSection.model_validate({"losses": losses, "train": {**TRAIN, "batch_size": BATCH}})
    online, clock = None if cache is not None else teacher(), Clock()
    how = section.train
    train(network(20), data, how, section.losses, seed=0, work=work, progress=clock, teacher=online, cache=cache)
    return clock.seconds[-1] - clock.seconds[2]


def text_step_s(name: str, steps: int = 6) -> float:
    """CPU seconds of one step of a 3-layer BERT that learns from a 6-layer one."""
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
    start = 0.0
    for step in range(steps + 1):
        start = time.process_time() if step == 1 else start
        with torch.no_grad():
            answers = teacher(ids, mask)
        total, _ = objective(student(ids, mask), labels, answers, mask=mask.bool())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    objective.close()
    return (time.process_time() - start) / steps


def main() -> None:
    """Prints the figures as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    data = images()
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        section = DistillSection.model_validate({"losses": ["kl"]})
        cache = TeacherCache.write(root / "cache", teacher(), data, section, seed=0, progress=QUIET)
        for turn in range(rounds):
            plans = {"kl": ["kl"], **{loss: ["kl", {loss: options}] for loss, options in FEATURES.items()}}
            plans |= {loss: ["kl", loss] for loss in RESPONSES}
            found = {"cached": epoch_s(data, ["kl"], root / f"{turn}-cached", cache)}
            found |= {loss: epoch_s(data, losses, root / f"{turn}-{loss}") for loss, losses in plans.items()}
            found |= {f"bert {loss}": text_step_s(loss) for loss in ("kl", *TEXTS)}
            for key, value in found.items():
                times.setdefault(key, []).append(value)
    ratio = {
        key: statistics.median(
            value / base
            for value, base in zip(values, times["bert kl" if key.startswith("bert") else "kl"], strict=True)
        )
        for key, values in times.items()
    }
    added = {key: round(100 * (value - 1), 1) for key, value in ratio.items() if key not in ("kl", "cached", "bert kl")}
    row = {
        "benchmark": "distill_speed",
        "epoch_cpu_s": {key: round(statistics.median(times[key]), 2) for key in ("kl", "cached")},
        "online_over_cached": round(1 / ratio["cached"], 2),
        "added_percent": added,
        "limits": {"online_over_cached": 1.5, "added_percent": 15, "except": list(ALLOWED)},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
