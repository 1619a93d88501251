"""CIFAR-10: every method on the same teacher, student, steps and seeds, and how much of the gap it closes.

Teacher, data, batches and augmentation are those of `bench_cifar10`, whose folder and results are shared. A method that
compares inner layers runs the teacher in every step, on the pixels that the others' cached outputs were made of. The
share of the gap that a method closes is (its mean - the student alone) / (teacher - the student alone). "alternate"
starts the student from every third block of the teacher; by itself it learns from the labels only. Needs EDGEKD_DATA;
interrupted, it goes on where it stopped.
Bound by: training on the CPU (about an hour per seed on one core).

    python -m tests.benchmarks.bench_methods [--methods NAME ...] [--seeds 0 1 2] [--student 20]
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from edgekd.distill import DistillSection, train
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.models.checkpoint import save
from edgekd.models.init import INITS, initialise
from edgekd.progress import Progress
from tests.benchmarks.bench_cifar10 import WORK, cache, data, network, score, section, teacher

CE = {"ce": {"weight": 0.1}}
KL = {"kl": {"weight": 0.9, "temperature": 4}}
METHODS: dict[str, list[Any]] = {
    "alone": ["ce"],
    "kl": [CE, KL],
    "soft_ce": [CE, {"soft_ce": {"weight": 0.9, "temperature": 4}}],
    "dkd": ["ce", {"dkd": {"beta": 2.0}}],
    "logit_standardization": [CE, {"logit_standardization": {"weight": 9}}],
    "dist": ["ce", "dist"],
    "taid": [CE, {"taid": {"weight": 0.9}}],
    "hint": [CE, KL, {"hint": {"pairs": "uniform", "weight": 10}}],
    "low_rank": [CE, KL, {"low_rank": {"pairs": "uniform"}}],
    "review": [CE, KL, {"review": {"pairs": "uniform"}}],
    "mgd": [CE, KL, {"mgd": {"pairs": "last"}}],
    "attention": [CE, KL, {"attention": {"pairs": "uniform"}}],
    "rkd": [CE, KL, {"rkd": {"student": "outputs", "teacher": "outputs"}}],
    "similarity": [CE, KL, {"similarity": {"pairs": "uniform"}}],
    "crd": [CE, KL, "crd"],
    "alternate": ["ce"],
    "alternate + kl": [CE, KL],
    "alternate + kl + attention": [CE, KL, {"attention": {"pairs": "uniform"}}],
    "alternate + kl + hint": [CE, KL, {"hint": {"pairs": "uniform", "weight": 10}}],
}


def trained(name: str, depth: int, seed: int, arrays: Any, outputs: TeacherCache, guide: Any) -> Path:
    """Trains one student with one method; returns its weights' file."""
    shared = {"alone": "alone", "kl": "distilled"}
    stem = f"resnet{depth}-{shared.get(name, name.replace(' ', ''))}-{seed}"
    path = WORK / f"{stem}.safetensors"
    if path.exists():
        return path
    base = section(depth).model_dump(mode="json", exclude={"losses", "teacher_outputs"})
    how = DistillSection.model_validate({**base, "losses": METHODS[name]})
    model, order = network(depth, seed), 0
    if name.startswith("alternate"):
        # All weights are the teacher's: the seed decides the batches, of which the cache has those of seed 0.
        initialise(model, guide, INITS.parse("alternate"), [], [])
        order = seed
    taught = any(loss.needs_teacher for loss in how.losses)
    wanted = outputs if taught and order == 0 else None
    online = guide if taught and (wanted is None or how.needs_teacher_online()) else None
    work, told = WORK / stem, Progress()
    train(model, arrays, how.train, how.losses, seed=order, work=work, progress=told, teacher=online, cache=wanted)
    save(model, path)
    return path


def main() -> None:
    """Trains what is missing, scores everything, prints one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--student", type=int, default=20)
    chosen = parser.parse_args()
    arrays = data()
    guide = teacher(arrays)
    outputs = cache(arrays, guide)
    found: dict[str, list[float]] = {}
    for name in dict.fromkeys(["alone", "kl", *chosen.methods]):
        paths = [trained(name, chosen.student, seed, arrays, outputs, guide) for seed in chosen.seeds]
        found[name] = [round(score(arrays, chosen.student, path) * 100, 2) for path in paths]
        print(json.dumps({name: found[name]}), flush=True)
    best = score(arrays, 56, WORK / "teacher.safetensors") * 100
    means = {name: statistics.mean(values) for name, values in found.items()}
    gap = best - means["alone"]
    row = {
        "benchmark": "methods",
        "student": f"resnet{chosen.student}",
        "seeds": chosen.seeds,
        "teacher": round(best, 2),
        "accuracy": found,
        "over_kl_points": {name: round(value - means["kl"], 2) for name, value in means.items()},
        "gap_closed": {name: round((value - means["alone"]) / gap, 3) for name, value in means.items()},
        "limits": {"best_over_kl_points": 0.5, "best_gap_closed": 0.5},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
