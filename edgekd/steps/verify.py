"""Steps: the exported file in its runtime on the test split, and its latency and memory where this is its board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.artifact import Artifact
from edgekd.backends import versions
from edgekd.benchmark import benchmark, predict
from edgekd.benchmark.machine import machine_id
from edgekd.errors import BenchmarkError
from edgekd.export import FORMATS
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.evaluate import test_logits
from edgekd.steps.export import Variant
from edgekd.store import Entry, source_digest

RUNTIME_PACKAGES = ("onnxruntime", "openvino", "ai-edge-litert", "numpy")
READ = ("entry", "runtime", "precision", "inputs", "outputs", "classes", "preprocess", "notes")
"""What the agent reads of a manifest."""
LOGITS = "logits.npy"
ALONE = "alone.npy"
TIMED_SAMPLES = 256


def test_files(data: PreparedData) -> Path | tuple[Path, Path]:
    """The stored samples of all splits, as the agent reads them."""
    folder = data.entry.folder
    if data.open().kind == "text":
        return folder / "tokens.npy", folder / "offsets.npy"
    return folder / "images.npy"


def verify(context: Context, data: PreparedData, variant: Variant, artifact: Artifact, folder: Path) -> Entry:
    """Accuracy and parity of the file itself, run by the agent.

    On a machine that is not the target, the file is evaluated in reference arithmetic where its runtime can, because
    this machine's integer kernels say nothing about the target's.
    """
    target, reference = variant.target, variant.source.evaluation
    exact = bool(target.matches_host())
    stand_in = FORMATS.load(artifact.format).stand_in
    inputs = {
        "files": {name: record.sha256 for name, record in artifact.files.items() if not name.startswith("probe_")},
        "manifest": artifact.model_dump(mode="json", include=set(READ)),
        "data": data.digest,
        "reference": reference.digest,
        "exact": exact,
        "runtime": stand_in or artifact.runtime,
        "machine": machine_id(),
        "code": source_digest("edgekd.benchmark", "edgekd.export.parity"),
        "versions": versions(*RUNTIME_PACKAGES),
    }

    def build(work: Path) -> Mapping[str, Any]:
        from edgekd.export.parity import compare

        test = data.open().indices("test")
        where = f"{target.name}/{folder.name}"
        context.progress.note(f"verifying {where}: {len(test)} test samples in {stand_in or artifact.runtime}")
        alone = work / ALONE
        logits = predict(
            folder, test_files(data), work / LOGITS, indices=test, exact=exact, runtime=stand_in, alone=alone
        )
        single = np.load(alone)
        is_embedding = artifact.preprocess.get("task") == "embedding"
        return {
            "samples": len(test),
            "arithmetic": "reference" if exact else "fused",
            "runtime": stand_in,
            "parity": compare(test_logits(reference), logits, embeddings=is_embedding),
            "alone": compare(logits[: len(single)], single, embeddings=is_embedding),
        }

    return context.store.get("verification", inputs, build)


def measure(context: Context, data: PreparedData, variant: Variant, artifact: Artifact, folder: Path) -> Entry | str:
    """Latency and memory on this machine, or the reason why they cannot be measured here."""
    target = variant.target
    reasons = target.matches_host()
    if reasons:
        return f"this machine is not {target.name}: {'; '.join(reasons)}"
    inputs = {
        "files": {name: record.sha256 for name, record in artifact.files.items()},
        "benchmark": context.recipe.benchmark.model_dump(mode="json"),
        "machine": machine_id(),
        "code": source_digest("edgekd.benchmark"),
        "versions": versions(*RUNTIME_PACKAGES),
    }

    def build(work: Path) -> Mapping[str, Any]:
        context.progress.note(f"timing {target.name}/{folder.name}")
        found, reason = benchmark(
            folder,
            context.recipe.benchmark,
            images=test_files(data),
            indices=data.open().indices("test")[:TIMED_SAMPLES],
            target=target,
        )
        if found is None:
            raise BenchmarkError(f"the artifact could not be timed: {reason}", where=folder)
        return found

    return context.store.get("measurement", inputs, build)
