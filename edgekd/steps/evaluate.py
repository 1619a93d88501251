"""Step: a float torch model on the test split; what every file is later compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.backends import versions
from edgekd.models import ModelSection
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.networks import FloatModel
from edgekd.steps.train import WEIGHTS, open_model
from edgekd.store import Entry, source_digest

LOGITS = "logits.npy"
COSTS = ("parameters", "macs", "size_bytes")


def evaluate(
    context: Context, data: PreparedData, section: ModelSection, model: Entry, *, temperatures: bool = False
) -> Entry:
    """Test logits, accuracy, parameters and MACs of a trained model.

    Args:
        context: the run.
        data: the prepared data; the test split is evaluated.
        section: the model's architecture.
        model: the training step's entry.
        temperatures: also tabulate the entropy of its soft labels on the validation split.
    """
    inputs = {
        "model": section.model.model_dump(mode="json"),
        "identity": section.model.identity(),
        "weights": model.digest,
        "data": data.digest,
        "temperatures": temperatures,
        "code": source_digest("edgekd.models", "edgekd.distill", "edgekd.steps"),
        "versions": versions("torch", "numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.benchmark.metrics import accuracy
        from edgekd.distill import predict
        from edgekd.distill.temperature import temperature_table
        from edgekd.models import parameter_count
        from edgekd.models.macs import macs

        arrays = data.open()
        network = open_model(section, model, arrays, context.recipe.seed)
        test = arrays.indices("test")
        logits = predict(network, arrays, test)
        np.save(folder / LOGITS, logits)
        table = temperature_table(predict(network, arrays, arrays.indices("validation"))) if temperatures else None
        return {
            "accuracy": accuracy(logits, arrays.labels[test]) if len(test) else None,
            "samples": len(test),
            "parameters": parameter_count(network),
            "macs": macs(network, (arrays.preprocess.channels, *arrays.preprocess.size)),
            "size_bytes": (model.folder / WEIGHTS).stat().st_size,
            "temperatures": table,
        }

    return context.store.get("evaluation", inputs, build)


def evaluate_ensemble(
    context: Context, data: PreparedData, members: Sequence[FloatModel], weights: Sequence[float]
) -> Entry:
    """The weighted mean of several networks' test logits; its size and cost are those of all of them."""
    inputs = {
        "members": [member.evaluation.digest for member in members],
        "facts": [[member.evaluation.info[name] for name in COSTS] for member in members],
        "weights": list(weights),
        "data": data.digest,
        "code": source_digest("edgekd.distill.ensemble", "edgekd.benchmark.metrics", "edgekd.steps"),
        "versions": versions("numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.benchmark.metrics import accuracy
        from edgekd.distill.ensemble import mixed, shares_of

        arrays = data.open()
        test = arrays.indices("test")
        logits = mixed(np.stack([test_logits(member.evaluation) for member in members]), shares_of(weights))
        np.save(folder / LOGITS, logits)
        right = accuracy(logits, arrays.labels[test]) if len(test) else None
        costs = {name: sum(member.evaluation.info[name] for member in members) for name in COSTS}
        return {"accuracy": right, "samples": len(test), **costs, "temperatures": None}

    return context.store.get("evaluation", inputs, build)


def test_logits(evaluation: Entry) -> NDArray[np.float32]:
    """`(N, K)` float32 logits on the test split."""
    return np.load(evaluation.folder / LOGITS)
