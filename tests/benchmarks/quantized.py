"""INT8 files of a small network in every format that runs here, scored on the test split by the agent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.artifact import Artifact
from edgekd.benchmark import predict
from edgekd.benchmark.metrics import accuracy
from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import fold
from edgekd.data.arrays import ImageData
from edgekd.export import FORMATS
from edgekd.progress import QUIET
from edgekd.target import Target


def quantized_accuracy(model: Any, arrays: ImageData, root: Path) -> dict[str, float]:
    """Test accuracy by format; entropy ranges from the calibration set, this machine's rules."""
    import torch

    program = fold(model, (torch.from_numpy(arrays.preprocess.apply(arrays.calibration[:8])),))

    def batches() -> Iterator[tuple[np.ndarray]]:
        for start in range(0, len(arrays.calibration), 32):
            yield (arrays.preprocess.apply(arrays.calibration[start : start + 32]),)

    found: dict[str, float] = {}
    test = arrays.indices("test")
    section = CompressSection.model_validate({"method": {"int8_static": {"ranges": "entropy"}}})
    for name in Target.host().format_names():
        method = FORMATS.parse(name)
        rules = Target.host().rules(name).model_copy(update={"activations": method.activations})
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        exported = method.export(program, compress(program, batches, section, rules, QUIET), folder, rules)
        Artifact(
            model="student",
            format=name,
            precision="int8",
            target=Target.host().name,
            runtime=method.runtime,
            entry=exported.entry,
            inputs=exported.inputs,
            outputs=exported.outputs,
            classes=list(arrays.classes),
            preprocess=arrays.preprocess.to_json(),
        ).save(folder)
        found[name] = accuracy(predict(folder, arrays.images, indices=test), arrays.labels[test])
    return found
