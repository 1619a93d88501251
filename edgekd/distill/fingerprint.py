"""What a training is: the digest that says whether a checkpoint belongs to it."""

from __future__ import annotations

import hashlib
import json

import torch

from edgekd.distill.digest import data_digest, weights_digest
from edgekd.distill.task import Task


def fingerprint(task: Task) -> str:
    """Hex SHA-256 over everything that decides the trained weights."""
    parts = {
        "model": weights_digest(task.model),
        "data": data_digest(task.data),
        "settings": task.settings.key(),
        "losses": [loss.model_dump(mode="json") for loss in task.losses],
        "seed": task.seed,
        "teacher": None if task.teacher is None else weights_digest(task.teacher),
        "cache": None if task.cache is None else task.cache.facts,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
