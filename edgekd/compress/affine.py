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


def activation(low: float, high: float, *, symmetric: bool = False) -> Affine:
    """Grid of an activation whose values are clipped to `[low, high]`.

    UINT8, `s = (high - low) / 255`, `z = round(-low / s)`; symmetric: INT8 in [-127, 127] with `z = 0`. The range is
    first widened to contain zero. Rounding z shifts the span by at most s / 2 against the range.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        scale = positive(max(-low, high) / 127)
        return Affine(scale, np.asarray(0, np.int32), -127, 127)
    scale = positive((high - low) / 255)
    zero_point = np.clip(np.rint(-low / float(scale)), 0, 255)
    return Affine(scale, np.asarray(zero_point, np.int32), 0, 255)


def weight_limit(bits: Literal[7, 8]) -> int:
    """Largest integer of a weight: 127, or 64 where 16-bit sums of two products must not saturate.

    AVX2's VPMADDUBSW adds two UINT8 * INT8 products in INT16: 2 * 255 * 64 = 32640 fits in 32767, 2 * 255 * 127 does
    not.
    """
    return 127 if bits == 8 else 64


def weight(values: NDArray[np.float32], *, bits: Literal[7, 8] = 8, axis: int | None = 0) -> Affine:
    """Symmetric grid of a weight: `s_c = max |w_c| / limit`, zero point 0.

    A channel of zeros gets the largest scale of the others.

    Args:
        values: the weight, channels on `axis`.
        bits: 8 or 7.
        axis: the axis of the output channels, or None for one grid per tensor.
    """
    limit = weight_limit(bits)
    magnitude = np.abs(values.astype(np.float64))
    if axis is None:
        largest = np.asarray(magnitude.max(initial=0.0))
    else:
        largest = magnitude.max(axis=tuple(i for i in range(values.ndim) if i != axis), initial=0.0)  # (C,)
    scale = largest / limit
    scale = np.where(scale > 0, scale, scale.max(initial=0.0))
    return Affine(positive(scale), np.zeros(scale.shape, np.int32), -limit, limit, axis)


def quantize(values: NDArray[np.float32], grid: Affine) -> NDArray[np.int64]:
    """Integers of the grid nearest to the values, in the values' shape."""
    scale, zero_point = along(grid.scale, grid, values.ndim), along(grid.zero_point, grid, values.ndim)
    steps = np.rint(np.divide(values, scale, dtype=np.float32)).astype(np.float64)
    return np.clip(steps + zero_point, grid.low, grid.high).astype(np.int64)


def positive(scale: float | NDArray[np.float64]) -> NDArray[np.float32]:
    """Float32 scales; a range that is a single zero has scale 1, as it then holds nothing but zeros."""
    wide = np.asarray(scale, np.float64)
    return np.where(wide > 0, np.maximum(wide, TINY), 1.0).astype(np.float32)


def along(values: NDArray[N], grid: Affine, ndim: int) -> NDArray[N]:
    """Per-channel values in a shape that broadcasts over a tensor."""
    if grid.axis is None:
        return values
    shape = [1] * ndim
    shape[grid.axis] = -1
    return values.reshape(shape)
