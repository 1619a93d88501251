"""How numbers read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.report import units


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (units.significant, 0.4123, "0.412"),
        (units.significant, 13.05, "13.1"),
        (units.significant, 0.0996, "0.0996"),
        (units.significant, 9.996, "10.0"),
        (units.significant, 1239.6, "1,240"),
        (units.significant, -0.5, "\u22120.500"),
        (units.size, 0, "0 B"),
        (units.size, 999, "999 B"),
        (units.size, 26_040_000, "26.0 MB"),
        (units.size, 999_960, "1.00 MB"),
        (units.size, 8_214_000_000, "8.21 GB"),
        (units.count, 860, "860"),
        (units.count, 78_042, "78.0 k"),
        (units.count, 4_089_000_000, "4.09 G"),
        (units.duration, 0.42, "0.420 s"),
        (units.duration, 125, "2 min 05 s"),
        (units.duration, 3725, "1 h 02 min"),
        (units.share, 0.0912, "9.1 %"),
        (units.share, 0.0083, "0.83 %"),
        (units.share, 1.0, "100 %"),
        (units.ratio, 0.656, "0.66\u00d7"),
        (units.ratio, 1.829, "1.83\u00d7"),
        (units.ratio, 3.25, "3.2\u00d7"),
        (units.error, 2.4e-7, "2.4e\u221207"),
        (units.error, 0.0, "0"),
        (units.points, -0.0019, "\u22120.2"),
        (units.points, 0.0137, "+1.4"),
        (units.points, 0.0001, "0.0"),
        (units.fact, None, "none"),
        (units.fact, True, "yes"),
        (units.fact, [], "none"),
        (units.fact, {"int8_static": {"ranges": "entropy"}}, "int8_static (ranges: entropy)"),
        (units.fact, {"ce": {}}, "ce"),
        (units.fact, [0.4914008, 3], "0.491401, 3"),
    ],
)
def test_text(write: Callable[[Any], str], value: Any, text: str) -> None:
    assert write(value) == text


def test_accuracy_has_no_more_decimals_than_the_test_set_gives() -> None:
    assert units.percent(0.8731, 10000) == "87.31 %"
    assert units.percent(0.8731, 1000) == "87.3 %"


def test_a_long_list_of_facts_is_cut_and_says_so() -> None:
    text = units.fact([f"image{i}" for i in range(50)])
    assert "image19" in text and "image20" not in text and "and 30 more" in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4_212_000, "bytes", "4.21 MB"),
        (0.0942, "ms", "0.0942 ms"),
        (0.984, "agreement", "98.40 %"),
        (-0.1, "points", "\u22120.10 points"),
        (1e-3, "relative", "0.001 relative"),
        (0.656, "x", "0.66\u00d7"),
        (12.34, "mJ", "12.3 mJ"),
    ],
)
def test_quantity(value: float, unit: str, text: str) -> None:
    assert units.quantity(value, unit) == text


@given(st.floats(1e-9, 1e12))
def test_three_significant_digits_are_within_half_a_percent(value: float) -> None:
    assert float(units.significant(value).replace(",", "")) == pytest.approx(value, rel=5.1e-3)
