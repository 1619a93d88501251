"""Temperature table: golden values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekd.distill.temperature import temperature_table


def test_two_equal_classes_carry_one_bit() -> None:
    rows = temperature_table(np.zeros((3, 2), np.float32))
    assert [row["temperature"] for row in rows] == [1, 2, 4, 8]
    assert all(row["entropy_bits"] == pytest.approx(1) and row["top1_probability"] == 0.5 for row in rows)


def test_by_hand() -> None:
    row = temperature_table(np.array([[math.log(3) * 2, 0.0]]))[1]
    assert row["top1_probability"] == pytest.approx(0.75)
    assert row["entropy_bits"] == pytest.approx(0.8112781244591328)


def test_grows_with_temperature_and_survives_large_logits() -> None:
    rows = temperature_table(np.random.default_rng(0).normal(0, 500, (50, 10)).astype(np.float32))
    bits = [row["entropy_bits"] for row in rows]
    assert all(np.isfinite(bits)) and bits == sorted(bits) and bits[-1] <= math.log2(10)
    tops = [row["top1_probability"] for row in rows]
    assert tops == sorted(tops, reverse=True)
