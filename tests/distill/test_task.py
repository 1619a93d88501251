"""What makes a training another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from edgekd.data.arrays import ImageData
from edgekd.distill import LOSSES, TrainSettings
from edgekd.distill.digest import weights_digest
from edgekd.distill.task import Task


def test_every_input_counts(data: ImageData) -> None:
    torch.manual_seed(0)
    base = Task(nn.Linear(3, 3), data, TrainSettings(), [LOSSES.parse("ce")], 0)
    others = [
        replace(base, model=nn.Linear(3, 3)),
        replace(base, data=replace(data, labels=data.labels[::-1].copy())),
        replace(base, data=replace(data, split=np.zeros_like(data.split))),
        replace(base, data=replace(data, facts={"sha256": "other"})),
        replace(base, settings=TrainSettings(epochs=11)),
        replace(base, losses=[LOSSES.parse({"ce": {"weight": 2}})]),
        replace(base, losses=[LOSSES.parse("kl")]),
        replace(base, seed=1),
        replace(base, teacher=nn.Linear(3, 3)),
    ]
    digests = [task.fingerprint() for task in (base, *others)]
    assert len(set(digests)) == len(digests)
    assert replace(base, settings=TrainSettings(checkpoint_every_s=1)).fingerprint() == digests[0]


def test_weights_digest_ignores_memory_order_and_sees_one_bit() -> None:
    layer = nn.Conv2d(3, 4, 3)
    before = weights_digest(layer)
    layer.to(memory_format=torch.channels_last)
    assert weights_digest(layer) == before
    with torch.no_grad():
        layer.bias[0] = torch.nextafter(layer.bias[0], torch.tensor(9.0))
    assert weights_digest(layer) != before
