from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekd.compress import affine

from ..simulation import bias_grid, dequantize, fake_quantize, span, widened

FINITE = st.floats(-1e6, 1e6, width=32)
WEIGHTS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=FINITE)


@given(WEIGHTS, st.sampled_from([7, 8]), st.booleans())
def test_weights_come_back_within_half_a_step(weight: np.ndarray, bits, per_channel: bool):
    grid = affine.weight(weight, bits=bits, axis=0 if per_channel else None)
    integers = affine.quantize(weight, grid)
    limit = 127 if bits == 8 else 64
    assert integers.min() >= -limit and integers.max() <= limit
    scale = grid.scale.reshape(-1, *[1] * (weight.ndim - 1)) if per_channel else grid.scale
    error = np.abs(dequantize(integers, grid).astype(np.float64) - weight)
    assert np.all(error <= scale.astype(np.float64) * (0.5 + 1e-5))


@given(FINITE, FINITE, st.booleans(), hnp.arrays(np.float32, 20, elements=st.floats(0, 1, width=32)))
def test_activations_come_back_within_half_a_step_inside_the_span(a: float, b: float, symmetric: bool, shares):
    low, high = min(a, b), max(a, b)
    grid = affine.activation(low, high, symmetric=symmetric)
    start, stop = (float(bound) for bound in span(grid))
    inside = (start + shares.astype(np.float64) * (stop - start)).astype(np.float32)
    error = np.abs(fake_quantize(inside, grid).astype(np.float64) - inside)
    assert np.all(error <= float(grid.scale) * (0.5 + 1e-4))
    # Rounding the zero point moves the span by half a step at most.
    assert start <= min(low, 0) + 0.51 * grid.scale and stop >= max(high, 0) - 0.51 * grid.scale
    assert float(fake_quantize(np.zeros(1, np.float32), grid)[0]) == 0.0


def test_golden_uint8():
    grid = affine.activation(-1.0, 4.1)  # scale 0.02, zero point 50
    assert float(grid.scale) == pytest.approx(0.02) and int(grid.zero_point) == 50
    x = np.float32([-2.0, -1.0, 0.0, 0.011, 0.029, 4.1, 9.0])
    np.testing.assert_array_equal(affine.quantize(x, grid), [0, 0, 50, 51, 51, 255, 255])


def test_half_rounds_to_even():
    grid = affine.activation(0.0, 255.0)
    np.testing.assert_array_equal(affine.quantize(np.float32([0.5, 1.5, 2.5, 3.5]), grid), [0, 2, 2, 4])


def test_symmetric_activation_has_zero_point_zero():
    grid = affine.activation(-1.0, 2.54, symmetric=True)
    assert (int(grid.zero_point), grid.low, grid.high) == (0, -127, 127)
    assert float(grid.scale) == pytest.approx(0.02)


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-30, 3e-45])
def test_a_single_value_survives(value: float):
    for symmetric in (False, True):
        grid = affine.activation(value, value, symmetric=symmetric)
        assert np.isfinite(grid.scale) and grid.scale > 0
        back = fake_quantize(np.full(3, value, np.float32), grid)
        np.testing.assert_allclose(back, value, rtol=1e-6, atol=1e-37)


def test_seven_bits_cannot_saturate_sixteen():
    assert 2 * 255 * affine.weight_limit(7) <= np.iinfo(np.int16).max < 2 * 255 * affine.weight_limit(8)


def test_a_channel_of_zeros_takes_the_scale_of_the_others():
    weight = np.zeros((3, 2), np.float32)
    weight[1] = 12.7
    grid = affine.weight(weight)
    np.testing.assert_allclose(grid.scale, 0.1, rtol=1e-6)
    assert not affine.quantize(weight, grid)[[0, 2]].any()
    np.testing.assert_array_equal(affine.weight(np.zeros((2, 2), np.float32)).scale, [1, 1])


def test_the_bias_of_a_dead_channel_stays_in_int32():
    weight = np.float32([[1.0], [1e-14]])
    bias = np.float32([0.5, 0.5])
    inputs = affine.activation(0.0, 2.55)
    plain = bias_grid(inputs, affine.weight(weight))
    assert affine.quantize(bias, plain)[1] == 2**31 - 1, "the case is no longer an overflow"
    grid = bias_grid(inputs, widened(affine.weight(weight), bias, inputs))
    np.testing.assert_allclose(fake_quantize(bias, grid), bias, rtol=0.01)


def test_weight_axis():
    weight = np.float32([[1.0, 10.0], [2.0, 20.0]])
    np.testing.assert_allclose(affine.weight(weight, axis=1).scale, np.float32([2, 20]) / 127, rtol=1e-6)
    grid = affine.weight(weight, axis=1)
    np.testing.assert_allclose(fake_quantize(weight, grid), weight, atol=0.08)
