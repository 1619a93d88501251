"""Where a student that starts from its teacher starts: initialised from it, or a pruned copy of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from edgekd.data.dataset import Dataset
from edgekd.distill.batches import Batches, batches_of, epoch_order
from edgekd.models import ModelSection
from edgekd.models.importance import Batch
from edgekd.models.init import initialise
from edgekd.models.modules import device_of
from edgekd.models.prune import prune

# What importance is measured on: 8 batches, as the square is averaged over batches.
SAMPLES = 256
BATCH = 32


def start(
    section: ModelSection, student: nn.Module, teacher: nn.Module, data: Dataset, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """The student before its training, and what was taken from the teacher.

    Args:
        section: the student's block of the recipe, with `init` or `prune`.
        student: freshly initialised.
        teacher: trained; becomes the student when it is pruned.
        data: importance is measured on samples of its training split.
        seed: decides which.

    Raises:
        ModelError: the teacher's weights do not fit the student, or there is nothing to prune.
    """
    source, rows = batches_of(data, device_of(teacher)), epoch_order(data.indices("train"), seed, 0)[:SAMPLES]
    parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    batches = (_batch(source, part) for part in parts)
    example = source.inputs(rows[:2])
    if section.prune is not None:
        return teacher, prune(teacher, section.prune, example, batches)
    if section.init is None:
        return student, {}
    return student, initialise(student, teacher, section.init, example, batches)


def described(facts: dict[str, Any]) -> str:
    """One line about what was taken from the teacher, for the progress."""
    if "fresh" in facts:
        names: list[str] = facts["fresh"]
        shown = f": {', '.join(names[:5])}" + (", ..." if len(names) > 5 else "") if names else ""
        return f"{facts['copied']} tensors copied, {len(names)} freshly initialised{shown}"
    rows = (
        f"{row['units_before']} {kind} in {row['layers']} layers to {row['units_after']}" for kind, row in facts.items()
    )
    return "pruned from " + ", ".join(rows)


def _batch(source: Batches, rows: NDArray[np.int64]) -> Batch:
    inputs, labels = source.inputs(rows), source.labels(rows)
    return lambda model: cross_entropy(source.rows(model(*inputs), inputs), labels)
