"""Affine quantization: real value = scale * (integer - zero point). The only quantization arithmetic in edgekd.

    q = clip(round(x / s) + z, low, high)          x' = s (q - z)                      (Jacob et al. 2018, section 2.1)

Rounding is half to even and the division is in float32, as ONNX's QuantizeLinear and the runtimes do it. A value
inside the grid's span `[s (low - z), s (high - z)]` comes back within s / 2. Zero is always on the grid, because
padding and ReLU must be exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

N = TypeVar("N", np.float32, np.int32)

# The smallest scale: float32's smallest normal number, as runtimes flush smaller ones to zero.
TINY = float(np.finfo(np.float32).tiny)

# A quantized bias may use half of INT32, so that the accumulator it starts still has room for the products.
BIAS_LIMIT = 2**30


@dataclass(frozen=True)
class Affine:
    """One grid per tensor, or one per channel.

    Attributes:
        scale: float32, shape `()` or `(C,)`, above 0.
        zero_point: int32, the same shape.
        low: smallest integer.
        high: largest integer.
        axis: the axis of the channels; None for one grid per tensor.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    low: int
    high: int
    axis: int | None = None

    @property
    def span(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Smallest and largest value that the grid can express, in the scale's shape."""
        return self.scale * (self.low - self.zero_point), self.scale * (self.high - self.zero_point)


def activation(low: float, high: float, *, symmetric: bool = False) -> Affine:
    """Grid of an activation whose values are clipped to `[low, high]`.

    UINT8, `s = (high - low) / 255`, `z = round(-low / s)`; symmetric: INT8 in [-127, 127] with `z = 0`. The range is
    first widened to contain zero. Rounding z shifts the span by at most s / 2 against the range.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        scale = _positive(max(-low, high) / 127)
        return Affine(scale, np.asarray(0, np.int32), -127, 127)
    scale = _positive((high - low) / 255)
    zero_point = np.clip(np.rint(-low / float(scale)), 0, 255)
    return Affine(scale, np.asarray(zero_point, np.int32), 0, 255)


def weight_limit(bits: Literal[7, 8]) -> int:
    """Largest integer of a weight: 127, or 64 where 16-bit sums of two products must not saturate.

    AVX2's VPMADDUBSW adds two UINT8 * INT8 products in INT16: 2 * 255 * 64 = 32640 fits in 32767, 2 * 255 * 127 does
    not.
    """
    return 127 if bits == 8 else 64


def weight(
    values: NDArray[np.float32],
    *,
    bits: Literal[7, 8] = 8,
    axis: int | None = 0,
    least_scale: float | NDArray[np.float64] = 0,
) -> Affine:
    """Symmetric grid of a weight: `s_c = max |w_c| / limit`, zero point 0.

    Args:
        values: the weight, channels on `axis`.
        bits: 8 or 7.
        axis: the axis of the output channels, or None for one grid per tensor.
        least_scale: lower bound of the scales, `()` or `(C,)`; see `least_weight_scale`. A channel of zeros gets this
            scale, or the largest of the others.
    """
    limit = weight_limit(bits)
    magnitude = np.abs(values.astype(np.float64))
    if axis is None:
        largest = np.asarray(magnitude.max(initial=0.0))
    else:
        largest = magnitude.max(axis=tuple(i for i in range(values.ndim) if i != axis), initial=0.0)  # (C,)
    scale = np.maximum(largest / limit, least_scale)
    scale = np.where(scale > 0, scale, scale.max(initial=0.0))
    return Affine(_positive(scale), np.zeros(scale.shape, np.int32), -limit, limit, axis)


def least_weight_scale(bias: NDArray[np.float32], input_scale: float) -> NDArray[np.float64]:
    """The weight scales `(C,)` below which the bias, quantized with `input_scale * weight_scale`, leaves INT32.

    Batch normalisation folded into a dead channel leaves weights near zero beside a bias of ordinary size.
    """
    return np.abs(bias.astype(np.float64)) / (float(input_scale) * BIAS_LIMIT)


def bias(input_grid: Affine, weight_grid: Affine) -> Affine:
    """Grid of a bias `(C,)`: INT32 with the accumulator's scale `s_x s_w`, zero point 0."""
    scale = _positive(input_grid.scale.astype(np.float64) * weight_grid.scale.astype(np.float64))
    axis = None if scale.ndim == 0 else 0
    return Affine(scale, np.zeros(scale.shape, np.int32), -(2**31), 2**31 - 1, axis)


def quantize(values: NDArray[np.float32], grid: Affine) -> NDArray[np.int64]:
    """Integers of the grid nearest to the values, in the values' shape."""
    scale, zero_point = _along(grid.scale, grid, values.ndim), _along(grid.zero_point, grid, values.ndim)
    steps = np.rint(np.divide(values, scale, dtype=np.float32)).astype(np.float64)
    return np.clip(steps + zero_point, grid.low, grid.high).astype(np.int64)


def dequantize(integers: NDArray[np.int64], grid: Affine) -> NDArray[np.float32]:
    """Values of the integers, float32, in the same shape."""
    scale, zero_point = _along(grid.scale, grid, integers.ndim), _along(grid.zero_point, grid, integers.ndim)
    return (integers - zero_point).astype(np.float32) * scale


def fake_quantize(values: NDArray[np.float32], grid: Affine) -> NDArray[np.float32]:
    """What is left of the values after a round trip through the grid."""
    return dequantize(quantize(values, grid), grid)


def _positive(scale: float | NDArray[np.float64]) -> NDArray[np.float32]:
    """Float32 scales; a range that is a single zero has scale 1, as it then holds nothing but zeros."""
    wide = np.asarray(scale, np.float64)
    return np.where(wide > 0, np.maximum(wide, TINY), 1.0).astype(np.float32)


def _along(values: NDArray[N], grid: Affine, ndim: int) -> NDArray[N]:
    """Per-channel values in a shape that broadcasts over a tensor."""
    if grid.axis is None:
        return values
    shape = [1] * ndim
    shape[grid.axis] = -1
    return values.reshape(shape)
