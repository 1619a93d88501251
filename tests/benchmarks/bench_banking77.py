"""Banking77: what students of 3 and 2 layers keep of a 6-layer BERT, what INT8 costs, and how much faster it is.

The shipped `tickets` recipe, unchanged but for the student's layers: the pipeline itself fine-tunes the teacher and
distils the students. Every INT8 file is scored on the 3,080 test texts in its own runtime and timed at 32 tokens,
batch 1, beside the float teacher in the same runtime: one process each, in interleaved rounds, the figure is the median
over rounds of the p50. Needs EDGEKD_DATA; interrupted, it goes on where it stopped.
Bound by: fine-tuning and distilling (about 10 minutes on two cores), then integer kernels and the float attention.

    python -m tests.benchmarks.bench_banking77 [--layers 3 2] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.benchmark import BenchmarkSection, benchmark
from edgekd.benchmark.metrics import accuracy, macro_f1
from edgekd.pipeline import train_models
from edgekd.progress import Progress
from edgekd.recipe import load_recipe
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData, prepare_data
from edgekd.steps.document import model_size_bytes
from edgekd.steps.evaluate import class_logits
from edgekd.steps.export import Variant, export_files, place_artifact
from edgekd.steps.networks import FloatModel
from edgekd.steps.verify import LOGITS, test_files, verify
from edgekd.store import Store
from edgekd.target import Target

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "runs" / "bench-banking77"
TOKENS, THREADS = 32, 2
TIMED = 256


def recipe(layers: int) -> Path:
    """The shipped recipe with a student of that many layers."""
    text = (ROOT / "edgekd" / "recipes" / "tickets.yaml").read_text(encoding="utf-8")
    path = WORK / f"tickets{layers}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("layers: 3", f"layers: {layers}"), encoding="utf-8")
    return path


def files(context: Context, data: PreparedData, model: FloatModel, precision: str) -> dict[str, dict[str, Any]]:
    """Every format's file of a network: its folder, size and test scores."""
    role: Any = "teacher" if model.role == "teacher" else "student"
    source, target = replace(model, role=role), Target.host()
    found: dict[str, dict[str, Any]] = {}
    for name in target.format_names():
        variant = Variant(source, target, name, precision)  # type: ignore[arg-type]
        folder = WORK / f"{model.name.replace('/', ' ')}-{name}-{precision}".replace(" ", "_")
        artifact = place_artifact(context, data, variant, export_files(context, data, variant), folder)
        checked = verify(context, data, variant, artifact, folder)
        logits, labels = class_logits(data, model.evaluation, np.load(checked.folder / LOGITS))
        found[name] = {
            "folder": folder,
            "size_bytes": model_size_bytes(artifact),
            "accuracy": accuracy(logits, labels),
            "macro_f1": macro_f1(logits, labels, logits.shape[1]),
        }
    return found


def p50_ms(data: PreparedData, folders: dict[str, Path], rounds: int) -> dict[str, float]:
    """Median over rounds of each file's p50 at 32 tokens."""
    section = BenchmarkSection(threads=[THREADS], sequence_lengths=[TOKENS], warmup=20, runs=200)
    indices, times = data.open().indices("test")[:TIMED], dict[str, list[float]]()
    for turn in range(rounds):
        for key, folder in folders.items():
            found, reason = benchmark(folder, section, images=test_files(data), indices=indices)
            if found is None or found["latency"][0]["p50_ms"] is None:
                raise SystemExit(reason or f"no timing with {THREADS} threads: has this process as many cores?")
            times.setdefault(key, []).append(found["latency"][0]["p50_ms"])
        print(f"round {turn + 1}/{rounds}", file=sys.stderr, flush=True)
    return {key: statistics.median(values) for key, values in times.items()}


def main() -> None:
    """Trains, exports, scores, times, and prints one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, nargs="*", default=[3, 2])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    row: dict[str, Any] = {"benchmark": "banking77", "tokens": TOKENS, "threads": THREADS, "target": Target.host().name}
    made: dict[str, dict[str, dict[str, Any]]] = {}
    data: PreparedData | None = None
    for layers in chosen.layers:
        loaded, progress = load_recipe(recipe(layers)), Progress()
        context = Context(loaded.recipe, loaded.raw, Store(WORK / "store", progress.warn), progress)
        data = prepare_data(context)
        models = {model.role: model for model in train_models(context, data).models}
        teacher, student = (models[role].evaluation.info["accuracy"] for role in ("teacher", "student"))
        made["teacher"] = made.get("teacher") or files(context, data, models["teacher"], "float32")
        made[f"{layers}"] = int8 = files(context, data, models["student"], "int8")
        row |= {"teacher_accuracy": round(teacher, 4)}
        row[f"student_{layers}"] = {
            "accuracy": round(student, 4),
            "alone": round(models["student_alone"].evaluation.info["accuracy"], 4),
            "keeps_of_teacher": round(student / teacher, 4),
            "int8_keeps": {name: round(found["accuracy"] / student, 4) for name, found in int8.items()},
            "int8_macro_f1": {name: round(found["macro_f1"], 4) for name, found in int8.items()},
        }
    if data is None:
        return
    folders = {f"{key} {name}": one["folder"] for key, found in made.items() for name, one in found.items()}
    times = p50_ms(data, folders, chosen.rounds)
    row["p50_ms"] = {key: round(value, 3) for key, value in times.items()}
    for layers in chosen.layers:
        found, whole = made[f"{layers}"], made["teacher"]
        row[f"student_{layers}"] |= {
            "faster": {name: round(times[f"teacher {name}"] / times[f"{layers} {name}"], 2) for name in found},
            "size_share": {n: round(found[n]["size_bytes"] / whole[n]["size_bytes"], 3) for n in found},
        }
    row["limits"] = {
        "keeps_of_teacher": {"3": 0.98, "2": 0.96},
        "int8_keeps": 0.995,
        "faster_2": 6,
        "size_share_2": 0.25,
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
