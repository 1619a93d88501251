from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.compress.description import Description, TensorRange
from edgekd.compress.moments import Moments
from edgekd.errors import ExportError
from edgekd.export.bind import Step, bind, distance


def fingerprint(values: np.ndarray) -> tuple[float, float, float, float, int]:
    moments = Moments()
    moments.add(values)
    return moments.fingerprint()


def described(**tensors: tuple[np.ndarray, float, float]) -> Description:
    return Description(
        method={"int8_static": {}},
        weight_bits=8,
        per_channel=True,
        activations={
            name: TensorRange(
                low=low, high=high, minimum=float(v.min()), maximum=float(v.max()), fingerprint=fingerprint(v)
            )
            for name, (v, low, high) in tensors.items()
        },
        quantized=[],
        kept_float=[],
        samples=1,
    )


@given(st.integers(1, 5), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_streamed_fingerprint_is_numpys(batches: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(3, 2, (batches, 4, 5)).astype(np.float32)
    moments = Moments()
    for batch in values:
        moments.add(batch)
    expected = (values.mean(dtype=np.float64), values.std(dtype=np.float64), values.min(), values.max(), values.size)
    assert moments.fingerprint() == pytest.approx(expected, rel=1e-6)


def test_fingerprint_ignores_layout_and_rounding() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    moved = values.transpose(0, 2, 3, 1) * np.float32(1 + 1e-6)
    assert distance(fingerprint(values), fingerprint(moved)) < 1e-5


def test_different_tensors_are_far_apart() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert distance(fingerprint(values), fingerprint(np.maximum(values, 0))) > 0.1
    assert distance(fingerprint(values), fingerprint(values[:1])) == float("inf")


def test_binds_by_value_under_another_name_and_layout() -> None:
    a = np.random.default_rng(0).normal(size=(1, 3, 4, 4))
    b = a * 2
    found = bind(
        {"x": fingerprint(b.transpose(0, 2, 3, 1)), "y": fingerprint(a)}, [], described(a=(a, -1, 1), b=(b, -2, 2))
    )
    assert found.names == {"x": ["b"], "y": ["a"]}
    assert (found.ranges["x"].low, found.ranges["x"].high) == (-2, 2)


def test_twins_with_one_range_are_harmless() -> None:
    a = np.abs(np.random.default_rng(0).normal(size=(1, 3, 4, 4)))
    found = bind({"x": fingerprint(a)}, [], described(conv=(a, 0, 2), relu=(a, 0, 2.001)))
    assert set(found.names["x"]) == {"conv", "relu"}
    assert found.ranges["x"].high == pytest.approx(2, abs=0.01)


def test_twins_with_different_ranges_are_refused_by_name() -> None:
    a = np.abs(np.random.default_rng(0).normal(size=(1, 3, 4, 4)))
    with pytest.raises(ExportError, match=r"different ranges(.|\n)*tensor x(.|\n)*conv(.|\n)*relu"):
        bind({"x": fingerprint(a)}, [], described(conv=(a, -1, 2), relu=(a, 0, 2)))


def test_a_pad_inherits_its_inputs_range_and_others_do_not() -> None:
    a = np.random.default_rng(0).normal(size=(1, 3, 4, 4))
    steps = [Step(["x"], ["padded"], passes=True), Step(["padded"], ["y"])]
    found = bind({"x": fingerprint(a)}, steps, described(a=(a, -1, 1)))
    assert found.ranges["padded"] == found.ranges["x"]
    assert "y" not in found.ranges
    with pytest.raises(ExportError, match="received: y"):
        found.require(["x", "padded", "y"], where="Sigmoid node")


def test_a_transposed_input_is_bound_backwards() -> None:
    a = np.random.default_rng(0).normal(size=(1, 3, 4, 4))
    found = bind({"b": fingerprint(a)}, [Step(["a"], ["b"], passes=True)], described(x=(a, -1, 1)))
    assert found.ranges["a"] == found.ranges["b"]
