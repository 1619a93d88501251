from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from edgekd.compress.ranges_family import RANGES

from ..plain_histogram import histogram_of


@pytest.mark.parametrize("percent", [90.0, 99.0, 99.99, 100.0])
def test_equals_the_quantiles_of_the_values(percent: float):
    x = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    histogram = histogram_of(x)
    low, high = RANGES.parse({"percentile": {"percent": percent}}).choose(histogram)
    expected = np.percentile(x, [100 - percent, percent])
    # A bin is 0.002 wide; in the thin tail the neighbouring order statistics are further apart.
    np.testing.assert_allclose([low, high], expected, atol=0.002 if percent <= 99 else 0.05)


def test_each_tail_loses_its_share():
    histogram = histogram_of(np.repeat(np.float32([-3, -1, 1, 3]), [10, 490, 490, 10]))
    low, high = RANGES.parse({"percentile": {"percent": 99.5}}).choose(histogram)
    assert (low, high) == (pytest.approx(-3, abs=0.01), pytest.approx(3, abs=0.01))
    low, high = RANGES.parse({"percentile": {"percent": 97}}).choose(histogram)
    assert (low, high) == (pytest.approx(-1, abs=0.01), pytest.approx(1, abs=0.01))


@pytest.mark.parametrize("percent", [50, 0.9999, 101])
def test_refuses_what_is_no_percentage_of_interest(percent: float):
    with pytest.raises(ValidationError):
        RANGES.load("percentile").model_validate({"percent": percent})
