"""Typed passages between torch and numpy, without copies."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray


def as_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """A CPU tensor's memory as an array."""
    return cast("NDArray[Any]", cast(Any, tensor.detach()).numpy())


def as_tensor(array: NDArray[Any]) -> torch.Tensor:
    """A writable array's memory as a tensor: float32, or int64 for integers."""
    kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32
    return cast(Any, torch).from_numpy(np.ascontiguousarray(array, kind))
