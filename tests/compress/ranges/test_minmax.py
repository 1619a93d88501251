from __future__ import annotations

import numpy as np

from edgekd.compress.ranges_family import RANGES

from ..plain_histogram import histogram_of


def test_exact():
    histogram = histogram_of(np.float32([-1.1, 0.3, 7.7]))
    assert RANGES.parse("minmax").choose(histogram) == (np.float32(-1.1), np.float32(7.7))
