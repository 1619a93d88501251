"""What identifies a tensor by its values: five figures that no permutation of its axes changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Fingerprint = tuple[float, float, float, float, int]


@dataclass
class Moments:
    """Streamed fingerprint of one tensor: batch after batch, in float64, with constant memory."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")

    def add(self, values: NDArray[np.floating]) -> None:
        """Takes in one batch of values."""
        if values.size == 0:
            return
        wide = values.astype(np.float64, copy=False)
        self.count += int(values.size)
        with np.errstate(invalid="ignore"):  # padding with minus infinity before a max pooling; matches nothing
            self.total += float(wide.sum())
            self.squares += float(np.square(wide).sum())
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))

    def fingerprint(self) -> Fingerprint:
        """(mean, std, minimum, maximum, count) of everything taken in."""
        if self.count == 0:
            return 0.0, 0.0, 0.0, 0.0, 0
        mean = self.total / self.count
        if not np.isfinite(self.squares):
            return float("nan"), float("nan"), self.minimum, self.maximum, self.count
        variance = max(self.squares / self.count - mean * mean, 0.0)
        return mean, float(np.sqrt(variance)), self.minimum, self.maximum, self.count
