from __future__ import annotations

import numpy as np
import pytest

from edgekd.compress import affine
from edgekd.compress.ranges_family import RANGES

from ...simulation import fake_quantize
from ..plain_histogram import histogram_of


def true_error(x: np.ndarray, low: float, high: float, symmetric: bool = False) -> float:
    """Of the real grid on the real values."""
    rounded = fake_quantize(x, affine.activation(low, high, symmetric=symmetric))
    return float(np.mean((x.astype(np.float64) - rounded) ** 2))


def samples(kind: str) -> np.ndarray:
    generator = np.random.default_rng(7)
    x = generator.standard_t(3, 20_000) if kind != "relu" else np.maximum(generator.standard_t(3, 20_000), 0)
    return (x + (0.5 if kind == "shifted" else 0)).astype(np.float32)


@pytest.mark.parametrize("kind", ["relu", "two-sided", "shifted"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_no_candidate_is_better_on_the_values_themselves(kind: str, symmetric: bool):
    x = samples(kind)
    histogram = histogram_of(x)
    low, high = RANGES.parse({"mse": {"candidates": 50}}).choose(histogram, symmetric=symmetric)
    found = true_error(x, low, high, symmetric)
    shares = np.arange(1, 51) / 50
    lows = [0.0] if x.min() >= 0 else (shares * x.min()).tolist()
    if symmetric:
        limit = max(-x.min(), x.max())
        pairs = [(-share * limit, share * limit) for share in shares]
    else:
        pairs = [(one, share * x.max()) for one in lows[::3] for share in shares]
    best = min(true_error(x, one, two, symmetric) for one, two in pairs)
    assert found <= best * 1.02
    assert found < true_error(x, x.min(), x.max(), symmetric), "the case does not need clipping"


def test_a_uniform_tensor_is_not_clipped():
    histogram = histogram_of(np.random.default_rng(0).uniform(-1, 3, 50_000).astype(np.float32))
    low, high = RANGES.parse("mse").choose(histogram)
    assert low == pytest.approx(-1, abs=0.021) and high == pytest.approx(3, abs=0.061)
