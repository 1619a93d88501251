"""Typed passages between torch and numpy, without copies."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray


def as_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    """A float32 CPU tensor's memory as an array."""
    return cast("NDArray[np.float32]", cast(Any, tensor.detach()).numpy())


def as_tensor(array: NDArray[np.float32]) -> torch.Tensor:
    """A writable float32 array's memory as a tensor."""
    return cast(Any, torch).from_numpy(np.ascontiguousarray(array, np.float32))
