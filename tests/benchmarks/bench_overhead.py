"""What the pipeline costs on top of calling the same libraries by hand: training.

By hand: a plain torch loop over the same batches already in memory. Compared with `edgekd.distill.train`, checkpoints
included, in interleaved rounds. Export, verification and timing call the same libraries in processes of their own.
Bound by: torch's convolutions. CPU seconds, so that a busy machine disturbs less; one thread.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
from pathlib import Path

import numpy as np

from edgekd.data import DataSection, prepare
from edgekd.data.arrays import ImageData
from edgekd.distill import train
from edgekd.distill.losses.ce import CrossEntropy
from edgekd.distill.settings import TrainSettings
from edgekd.models.source import MODELS
from edgekd.progress import QUIET

ROUNDS = 5
EPOCHS = 2
BATCH = 64


def cpu_seconds() -> float:
    """CPU time of this process and of the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def by_hand(arrays: ImageData) -> float:
    """CPU seconds of a plain loop: shuffled batches, SGD, validation once per epoch."""
    import torch

    torch.manual_seed(0)
    model = MODELS.parse({"cifar_resnet": {"depth": 20}}).build(len(arrays.classes), 1)
    model = model.to(memory_format=torch.channels_last)
    train_rows, validation = arrays.indices("train"), arrays.indices("validation")
    inputs = torch.from_numpy(arrays.preprocess.apply(arrays.images[train_rows])).to(memory_format=torch.channels_last)
    labels = torch.from_numpy(arrays.labels[train_rows])
    checks = torch.from_numpy(arrays.preprocess.apply(arrays.images[validation])).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    start = cpu_seconds()
    for _ in range(EPOCHS):
        model.train()
        order = torch.randperm(len(inputs))
        for step in range(len(inputs) // BATCH):
            rows = order[step * BATCH : (step + 1) * BATCH]
            loss = torch.nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            model(checks)
    return cpu_seconds() - start


def by_edgekd(arrays: ImageData, work: Path) -> float:
    """CPU seconds of `edgekd.distill.train` with the same number of steps, checkpoints included."""
    import torch

    torch.manual_seed(0)
    model = MODELS.parse({"cifar_resnet": {"depth": 20}}).build(len(arrays.classes), 1)
    settings = TrainSettings.model_validate(
        {
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "threads": 1,
            "optimizer": {"sgd": {"lr": 0.05}},
            "precision": "float32",  # as by hand: `auto` takes bfloat16 where the CPU has it
        }
    )
    start = cpu_seconds()
    train(model, arrays, settings, [CrossEntropy()], seed=0, work=work, progress=QUIET)
    return cpu_seconds() - start


def main() -> None:
    """Prints the figures as one JSON line."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        section = DataSection.model_validate({"reader": "mnist5k", "size": [28, 28], "channels": 1})
        prepare(section, 0, root, QUIET)
        arrays = ImageData.load(root)
        pairs = [(by_hand(arrays), by_edgekd(arrays, root / f"work{turn}")) for turn in range(ROUNDS)]
    hand, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    row = {
        "benchmark": "overhead",
        "by_hand_cpu_s": round(hand, 2),
        "edgekd_cpu_s": round(ours, 2),
        "ratio": round(float(np.median([mine / plain for plain, mine in pairs])), 3),
        "limits": {"ratio": 1.05},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
