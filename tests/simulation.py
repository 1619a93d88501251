"""Evaluates a program as its quantization description says, in reference arithmetic.

Every integer operator reads tensors that went through their 8-bit grid, with weights and biases that went through
theirs, computes in float32, and its result goes through its own grid. This is what quantization itself costs, apart
from any runtime's kernels. A result read only by a clipping operator (ReLU) in integers is not rounded: the grid of
the clipped result does both at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from edgekd.compress import affine
from edgekd.compress.description import Description
from edgekd.compress.fold import Program
from edgekd.compress.nodes import attribute, layer_arguments, operator_type
from edgekd.compress.operators import CLIPPING, WEIGHTED
from edgekd.compress.tensors import as_numpy, as_tensor
from edgekd.errors import CompressError

# A quantized bias may use half of INT32, so that the accumulator it starts still has room for the products.
BIAS_LIMIT = 2**30


def span(grid: affine.Affine) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smallest and largest value that the grid can express, in the scale's shape."""
    return grid.scale * (grid.low - grid.zero_point), grid.scale * (grid.high - grid.zero_point)


def dequantize(integers: NDArray[np.int64], grid: affine.Affine) -> NDArray[np.float32]:
    """Values of the integers, float32, in the same shape."""
    scale, zero_point = (affine.along(part, grid, integers.ndim) for part in (grid.scale, grid.zero_point))
    return (integers - zero_point).astype(np.float32) * scale


def fake_quantize(values: NDArray[np.float32], grid: affine.Affine) -> NDArray[np.float32]:
    """What is left of the values after a round trip through the grid."""
    return dequantize(affine.quantize(values, grid), grid)


def fake_quantize_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with a symmetric grid of its own for every row `(..., K)`; rows of zeros stay zeros."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    shares = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    return fake_quantize(shares, affine.activation(-1.0, 1.0, symmetric=True)) * largest


def bias_grid(inputs: affine.Affine, weight: affine.Affine) -> affine.Affine:
    """Grid of a bias `(C,)`: INT32 with the accumulator's scale `s_x s_w`, zero point 0."""
    scale = affine.positive(inputs.scale.astype(np.float64) * weight.scale.astype(np.float64))
    axis = None if scale.ndim == 0 else 0
    return affine.Affine(scale, np.zeros(scale.shape, np.int32), -(2**31), 2**31 - 1, axis)


def widened(weight: affine.Affine, bias: NDArray[np.float32], inputs: affine.Affine) -> affine.Affine:
    """The weight's grid with scales so large that the bias on `bias_grid` stays in INT32.

    Batch normalisation folded into a dead channel leaves weights near zero beside a bias of ordinary size.
    """
    least = np.abs(bias.astype(np.float64)) / (float(inputs.scale) * BIAS_LIMIT)
    return replace(
        weight, scale=np.maximum(weight.scale, least if weight.axis is not None else least.max()).astype(np.float32)
    )


def simulate(program: Program, description: Description, *inputs: Tensor) -> Tensor:
    """Logits of a batch of the program's inputs in simulated INT8."""
    with torch.inference_mode():
        return cast(Tensor, Simulation(program, description).run(*inputs))


class Simulation(fx.Interpreter):
    """A program in simulated INT8; call `run(x)` as often as needed, weights are quantized once."""

    def __init__(self, program: Program, description: Description) -> None:
        """A simulation of `description`, which must be of this very program."""
        super().__init__(program.module, garbage_collect_values=True)
        self.description = description
        self.integer = set(description.quantized)
        self.weights: dict[str, tuple[Tensor, Tensor | None]] = {}

    def grid(self, name: str) -> affine.Affine:
        """Grid of one activation tensor."""
        found = self.description.activations[name]
        return affine.activation(found.low, found.high, symmetric=self.description.activation_grid == "symmetric")

    def run_node(self, n: fx.Node) -> Any:
        """One operator, on quantized inputs if it runs in integers; its result rounded if its readers do."""
        is_weighted = n.name in self.integer and operator_type(n) in WEIGHTED
        value = self._weighted(n) if is_weighted else super().run_node(n)
        if n.name in self.description.embeddings:
            return self._looked_up(n)
        if self.description.dynamic:
            return value
        if n.name in self.description.activations and self._is_rounded(n):
            return as_tensor(fake_quantize(as_numpy(value), self.grid(n.name)))
        return value

    def _is_rounded(self, node: fx.Node) -> bool:
        readers = [user for user in node.users if user.name in self.integer]
        if node.name not in self.integer:
            return bool(readers)
        return not (len(node.users) == 1 and len(readers) == 1 and operator_type(readers[0]) in CLIPPING)

    def _weighted(self, node: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        if node.name not in self.weights:
            self.weights[node.name] = quantized_weights(self, node)
        weight, bias = self.weights[node.name]
        if self.description.dynamic:
            args = (as_tensor(fake_quantize_rows(as_numpy(args[0]))), *args[1:])
        rest = {name: value for name, value in kwargs.items() if name not in ("weight", "bias")}
        return cast(Any, node.target)(args[0], weight, bias, *args[3:], **rest)

    def _looked_up(self, node: fx.Node) -> Tensor:
        table = _constant(self, cast(fx.Node, node.args[0]))
        if table is None:
            raise CompressError("a look-up that is to have an INT8 table has no constant one", where=node.name)
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        return cast(Any, node.target)(as_tensor(fake_quantize(table, affine.weight(table))), *args[1:], **kwargs)


def quantized_weights(simulation: Simulation, node: fx.Node) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of one layer after their grids."""
    described = simulation.description
    axis = WEIGHTED[operator_type(node)] if described.per_channel else None
    weight, bias = (_constant(simulation, argument) for argument in layer_arguments(node))
    if weight is None:
        raise CompressError("a layer that is to run in integers has no constant weight", where=node.name)
    if bias is None or described.dynamic:
        grid = affine.weight(weight, bits=described.weight_bits, axis=axis)
        return as_tensor(fake_quantize(weight, grid)), None if bias is None else as_tensor(bias)
    inputs = simulation.grid(cast(fx.Node, node.args[0]).name)
    grid = widened(affine.weight(weight, bits=described.weight_bits, axis=axis), bias, inputs)
    rounded = fake_quantize(bias, bias_grid(inputs, grid))
    return as_tensor(fake_quantize(weight, grid)), as_tensor(rounded)


def _constant(simulation: Simulation, node: fx.Node | None) -> NDArray[np.float32] | None:
    if node is None or node.op != "get_attr":
        return None
    return as_numpy(attribute(simulation.module, str(node.target)))
