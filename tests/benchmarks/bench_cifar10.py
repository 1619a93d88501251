"""CIFAR-10: does distillation help, and what does INT8 cost, over three seeds?

Teacher: the published ResNet-56 fine-tuned on the JPEG training set. Students: ResNet-8 and ResNet-20, each trained
alone and distilled, with the same number of steps, the same batches and the same augmentation. INT8: every format that
runs here, scored on the 10,000 test images. Needs EDGEKD_DATA; interrupted, it goes on where it stopped.
Bound by: training on the CPU (about two hours on two cores).

    python -m tests.benchmarks.bench_cifar10 [--students 8 20] [--seeds 0 1 2] [--only-train]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.benchmark.metrics import accuracy
from edgekd.data import DataSection, prepare
from edgekd.data.arrays import ImageData
from edgekd.distill import DistillSection, train
from edgekd.distill.inference import predict
from edgekd.distill.losses.ce import CrossEntropy
from edgekd.distill.settings import TrainSettings
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.models.checkpoint import load_into, read_tensors, save
from edgekd.models.source import MODELS
from edgekd.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "runs" / "bench-cifar10"
EPOCHS = {8: 4, 20: 2}
CROPS = 2
AUGMENT = {"crop_padding": 4, "flip": True}
THREADS = 1
TEACHER_TRAIN = {"epochs": 1, "optimizer": {"sgd": {"lr": 0.01}}, "schedule": {"cosine": {"warmup_steps": 50}}}
STUDENT_TRAIN = {"optimizer": {"sgd": {"lr": 0.1}}, "schedule": {"cosine": {"warmup_steps": 100}}}
LOSSES = [{"ce": {"weight": 0.1}}, {"kl": {"weight": 0.9, "temperature": 4}}]


def data() -> ImageData:
    """The prepared CIFAR-10 arrays."""
    folder = WORK / "data"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        zip_file = Path(os.environ["EDGEKD_DATA"]) / "cifar10" / "cifar10-jpeg.zip"
        section = DataSection.model_validate(
            {
                "reader": {"image_folder": {"path": str(zip_file)}},
                "size": [32, 32],
                "channels": 3,
                "validation": 0.05,
                "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
                "calibration": {"samples": 512},
            }
        )
        prepare(section, 0, folder, Progress())
        (folder / "done").touch()
    return ImageData.load(folder)


def network(depth: int, seed: int) -> Any:
    """A fresh CIFAR ResNet."""
    import torch

    torch.manual_seed(seed)
    return MODELS.parse({"cifar_resnet": {"depth": depth}}).build(10, 3)


def teacher(arrays: ImageData) -> Any:
    """ResNet-56, fine-tuned once."""
    model = network(56, 0)
    path = WORK / "teacher.safetensors"
    if path.exists():
        load_into(model, read_tensors(path), path)
        return model.eval()
    published = Path(os.environ["EDGEKD_DATA"]) / "cifar10" / "resnet56.safetensors"
    load_into(model, read_tensors(published), published)
    settings = TrainSettings.model_validate({**TEACHER_TRAIN, "augment": AUGMENT, "threads": THREADS})
    work = WORK / "teacher"
    train(model, arrays, settings, [CrossEntropy()], seed=0, work=work, progress=Progress())
    save(model, path)
    return model.eval()


def section(depth: int) -> DistillSection:
    """How a student of this depth is distilled."""
    settings = {**STUDENT_TRAIN, "epochs": EPOCHS[depth], "augment": AUGMENT, "threads": THREADS}
    return DistillSection.model_validate({"losses": LOSSES, "train": settings, "teacher_outputs": {"crops": CROPS}})


def cache(arrays: ImageData, model: Any) -> TeacherCache:
    """The teacher's logits on two augmented variants of every training image; shared by all students."""
    folder = WORK / "outputs"
    if not (folder / "done").exists():
        TeacherCache.write(folder, model, arrays, section(8), seed=0, progress=Progress())
        (folder / "done").touch()
    return TeacherCache.open(folder)


def student(arrays: ImageData, outputs: TeacherCache | None, depth: int, seed: int) -> Path:
    """Trains one student (alone when there are no teacher outputs); returns its weights' file.

    The seed decides the initial weights; batches and augmentation are those that the cache was made for, the same for
    the student alone and the distilled one.
    """
    name = f"resnet{depth}-{'alone' if outputs is None else 'distilled'}-{seed}"
    path = WORK / f"{name}.safetensors"
    if not path.exists():
        how = section(depth)
        losses = [CrossEntropy()] if outputs is None else how.losses
        model = network(depth, seed)
        train(model, arrays, how.train, losses, seed=0, work=WORK / name, progress=Progress(), cache=outputs)
        save(model, path)
    return path


def score(arrays: ImageData, depth: int, path: Path) -> float:
    """Test accuracy of a float torch model."""
    model = network(depth, 0)
    load_into(model, read_tensors(path), path)
    test = arrays.indices("test")
    return accuracy(predict(model.eval(), arrays, test), arrays.labels[test])


def main() -> None:
    """Trains what is missing, scores everything, prints one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, nargs="*", default=[8, 20])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only-train", action="store_true")
    chosen = parser.parse_args()
    if "EDGEKD_DATA" not in os.environ:
        sys.exit("EDGEKD_DATA is not set: it names the folder that holds cifar10/cifar10-jpeg.zip")
    arrays = data()
    outputs = cache(arrays, teacher(arrays))
    paths = {
        (depth, mode, seed): student(arrays, outputs if mode == "distilled" else None, depth, seed)
        for depth in chosen.students
        for seed in chosen.seeds
        for mode in ("alone", "distilled")
    }
    if chosen.only_train:
        return
    scores = {key: score(arrays, key[0], path) for key, path in paths.items()}
    row: dict[str, Any] = {"benchmark": "cifar10", "teacher": score(arrays, 56, WORK / "teacher.safetensors")}
    for depth in chosen.students:
        means = {}
        for mode in ("alone", "distilled"):
            values = [scores[depth, mode, seed] * 100 for seed in chosen.seeds]
            means[mode] = statistics.mean(values)
            row[f"resnet{depth}_{mode}"] = [round(value, 2) for value in values]
        row[f"resnet{depth}_gain_points"] = round(means["distilled"] - means["alone"], 2)
        row[f"resnet{depth}_epochs"] = EPOCHS[depth]
    row["int8_drop_points"] = int8_drops(
        arrays, {key: path for key, path in paths.items() if key[1] == "distilled"}, scores
    )
    row["limits"] = {"gain_points": 1.0, "int8_drop_points": 0.5}
    print(json.dumps(row), flush=True)


def int8_drops(arrays: ImageData, paths: dict[Any, Path], scores: dict[Any, float]) -> dict[str, list[float]]:
    """Points of test accuracy that each runtime's INT8 file loses against the float torch student."""
    from tests.benchmarks.quantized import quantized_accuracy

    drops: dict[str, list[float]] = {}
    for key, path in paths.items():
        model = network(key[0], 0)
        load_into(model, read_tensors(path), path)
        for name, value in quantized_accuracy(model.eval(), arrays, WORK / "int8" / path.stem).items():
            drops.setdefault(f"resnet{key[0]}-{name}", []).append(round((scores[key] - value) * 100, 2))
    return {name: [float(np.round(value, 2)) for value in values] for name, values in drops.items()}


if __name__ == "__main__":
    main()
