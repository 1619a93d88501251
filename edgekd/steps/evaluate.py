"""Step: a float torch model on the test split; what every file is later compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekd.backends import versions
from edgekd.models import ModelSection
from edgekd.steps.context import Context
from edgekd.steps.data import READING, PreparedData
from edgekd.steps.networks import FloatModel
from edgekd.steps.train import WEIGHTS, open_model
from edgekd.store import Entry, source_digest

if TYPE_CHECKING:
    from torch import nn

    from edgekd.data.dataset import Dataset

LOGITS = "logits.npy"
CENTROIDS = "centroids.npy"
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

    MACs of a text network are those of one text of the median length of the test split, `macs_tokens`.
    """
    inputs = {
        "model": section.model.model_dump(mode="json"),
        "identity": section.model.identity(),
        "weights": model.digest,
        "data": data.digest,
        "temperatures": temperatures,
        "code": source_digest("edgekd.models", "edgekd.distill", "edgekd.steps", *READING),
        "versions": versions("torch", "numpy"),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        from edgekd.benchmark.metrics import accuracy
        from edgekd.distill.centroids import centroids, scored
        from edgekd.distill.inference import predict
        from edgekd.distill.temperature import temperature_table
        from edgekd.models import parameter_count

        arrays = data.open()
        network = open_model(section, model, arrays, context.recipe.seed)
        test, embeds = arrays.indices("test"), arrays.task == "embedding"
        outputs = predict(network, arrays, test)
        np.save(folder / LOGITS, outputs)
        centers = None
        if embeds:
            train = arrays.indices("train")
            centers = centroids(predict(network, arrays, train), arrays.targets(train), len(arrays.classes))
            np.save(folder / CENTROIDS, centers)
        logits, labels = scored(arrays, outputs, test, centers)
        table = None
        if temperatures and not embeds:
            validation = arrays.indices("validation")
            table = temperature_table(scored(arrays, predict(network, arrays, validation), validation, None)[0])
        return {
            "accuracy": accuracy(logits, labels) if len(labels) else None,
            "samples": len(labels),
            "parameters": parameter_count(network),
            **_work(network, arrays),
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
        right = accuracy(logits, arrays.targets(test)) if len(test) else None
        tokens = members[0].evaluation.info["macs_tokens"]
        costs = {name: sum(member.evaluation.info[name] for member in members) for name in COSTS}
        return {"accuracy": right, "samples": len(test), "macs_tokens": tokens, **costs, "temperatures": None}

    return context.store.get("evaluation", inputs, build)


def _work(network: nn.Module, arrays: Dataset) -> dict[str, int | None]:
    """MACs of one sample, and of how many tokens it is."""
    import torch

    from edgekd.models.macs import macs

    # A search sees no test split.
    test = arrays.indices("test") if len(arrays.indices("test")) else arrays.indices("validation")
    if arrays.kind == "image":
        return {"macs": macs(network, [torch.as_tensor(arrays.inputs(test[:1])[0])]), "macs_tokens": None}
    lengths: list[int] = arrays.inputs(test)[1].sum(axis=1).tolist()
    tokens = int(median(lengths))
    ids = torch.ones(1, tokens, dtype=torch.int64)
    return {"macs": macs(network, [ids, ids]), "macs_tokens": tokens}


def test_logits(evaluation: Entry) -> NDArray[np.float32]:
    """The network's outputs on the test split: `(N, K)` float32 logits, a row per token where those are classified."""
    return np.load(evaluation.folder / LOGITS)


def class_logits(
    data: PreparedData, evaluation: Entry, outputs: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Logits and labels of what is scored, from test outputs of the evaluated network or of a file made from it."""
    from edgekd.distill.centroids import scored

    arrays, path = data.open(), evaluation.folder / CENTROIDS
    return scored(arrays, outputs, arrays.indices("test"), np.load(path) if path.is_file() else None)
