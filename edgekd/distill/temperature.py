"""How soft a teacher's labels are at each temperature, so that a user can choose one.

With p = softmax(logits / T) over K classes: the entropy -sum_k p_k log2 p_k, in bits, lies between 0 (a hard label) and
log2 K (no information left); both it and the top probability are means over the samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEMPERATURES = (1, 2, 4, 8)


def temperature_table(logits: NDArray[np.floating]) -> list[dict[str, float]]:
    """One row per temperature.

    Args:
        logits: `(N, K)` teacher logits, N at least 1.

    Returns:
        rows of `temperature`, `entropy_bits` (mean over samples) and `top1_probability` (mean of the largest).
    """
    rows: list[dict[str, float]] = []
    for temperature in TEMPERATURES:
        entropy, top = _softened(logits, temperature)
        rows.append({"temperature": temperature, "entropy_bits": entropy / np.log(2), "top1_probability": top})
    return rows


def entropy_share(logits: NDArray[np.floating], temperature: float) -> float:
    """Mean entropy over log K: 0 for hard labels, 1 where all classes look alike."""
    return _softened(logits, temperature)[0] / np.log(logits.shape[1])


def _softened(logits: NDArray[np.floating], temperature: float) -> tuple[float, float]:
    """Mean entropy in nats and mean top probability of the softened logits."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    return float(-(p * log_p).sum(axis=1).mean()), float(p.max(axis=1).mean())
