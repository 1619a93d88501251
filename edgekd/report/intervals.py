"""Uncertainty of an accuracy: a finite test set says only so much.

Wilson (1927) score interval of a binomial proportion p measured on n samples, at confidence z:

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

Newcombe (1998, method 10) combines two of them into an interval of a difference. It takes the two test sets as
independent; here both networks answer the same images, so it is wider than a paired interval would be.
"""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""Standard normal quantile at 0.975: two-sided 95 %."""


def wilson(value: float, samples: int, z: float = Z_95) -> tuple[float, float]:
    """The 95 % interval of a proportion `value` in [0, 1] measured on `samples` samples."""
    spread = z * z / samples
    centre = (value + spread / 2) / (1 + spread)
    half = z * math.sqrt(value * (1 - value) / samples + spread / (4 * samples)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def difference(first: float, first_samples: int, second: float, second_samples: int) -> tuple[float, float]:
    """The 95 % interval of `first - second`, two proportions in [0, 1]."""
    low_1, high_1 = wilson(first, first_samples)
    low_2, high_2 = wilson(second, second_samples)
    delta = first - second
    low = delta - math.hypot(first - low_1, high_2 - second)
    return low, delta + math.hypot(high_1 - first, second - low_2)
