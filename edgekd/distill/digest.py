"""Digests of what a training reads: weights and data."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from torch import nn

from edgekd.data.dataset import Dataset


def weights_digest(model: nn.Module) -> str:
    """Hex SHA-256 over the names, shapes and bytes of a model's tensors."""
    total = hashlib.sha256()
    for name, value in model.state_dict().items():
        dense = value.detach().cpu().contiguous()
        total.update(f"{name} {dense.dtype} {tuple(dense.shape)}\n".encode())
        total.update(dense.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def data_digest(data: Dataset) -> str:
    """Hex SHA-256 that tells one prepared data set from another, without reading all of its samples."""
    total = hashlib.sha256(np.ascontiguousarray(data.labels).tobytes())
    total.update(np.ascontiguousarray(data.split).tobytes())
    total.update(json.dumps([data.shape, data.preprocess.to_json(), data.facts.get("sha256")]).encode())
    return total.hexdigest()
