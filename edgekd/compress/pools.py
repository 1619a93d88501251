"""Adaptive pooling in operators that every format has.

An adaptive pool of k cells over n pixels takes the pixels from floor(i n / k) to ceil((i + 1) n / k) for cell i. Where
k divides n that is a pool of windows of n / k. Elsewhere the windows differ in size: an average is then a product with
a constant matrix (n, k) whose column i holds 1 / window in the window's rows, and a maximum is taken window by window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx

aten: Any = torch.ops.aten
AVERAGE, MAXIMUM = aten.adaptive_avg_pool2d.default, aten.adaptive_max_pool2d.default


def spell_out_pools(module: fx.GraphModule) -> None:
    """Replaces the adaptive pools of a captured graph, but for averages whose windows are equal."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or node.target not in (AVERAGE, MAXIMUM):
            continue
        source, cells = cast(fx.Node, node.args[0]), cast("list[int]", node.args[1])
        pixels = [int(size) for size in source.meta["val"].shape[-2:]]
        sizes = [pixels[axis] if cells[axis] is None else cells[axis] for axis in (0, 1)]  # pyright: ignore
        equal = all(pixel % cell == 0 for pixel, cell in zip(pixels, sizes, strict=True))
        if node.target is AVERAGE and equal:
            continue
        write = _Writer(module, node)
        if node.target is AVERAGE:
            result = _averaged(write, source, pixels, sizes)
        elif equal:
            window = [pixel // cell for pixel, cell in zip(pixels, sizes, strict=True)]
            result = write(aten.max_pool2d.default, source, window, window)
        else:
            result = _largest(write, _largest(write, source, 2, pixels[0], sizes[0]), 3, pixels[1], sizes[1])
        # A maximum comes with its positions: (values, indices).
        replaced = [node] if node.target is AVERAGE else [user for user in node.users if user.args[1] == 0]
        for old in replaced:
            old.replace_all_uses_with(result)
    module.graph.eliminate_dead_code()


class _Writer:
    """Adds operators before a node, with their shapes."""

    def __init__(self, module: fx.GraphModule, node: fx.Node) -> None:
        self.module, self.node = module, node

    def __call__(self, target: Callable[..., Any], *arguments: Any) -> fx.Node:
        with self.module.graph.inserting_before(self.node):
            added = self.module.graph.call_function(target, arguments)
        added.meta = {**self.node.meta, "val": target(*map(_value, arguments))}
        return added

    def constant(self, name: str, value: Tensor) -> fx.Node:
        path = f"{self.node.name}_{name}"
        self.module.register_buffer(path, value)
        with self.module.graph.inserting_before(self.node):
            added = self.module.graph.get_attr(path)
        added.meta["val"] = self.node.args[0].meta["val"].fake_mode.from_tensor(value)  # pyright: ignore
        return added


def _value(argument: Any) -> Any:
    """What an argument is when the graph runs: a node's shape and type, in a list as well."""
    if isinstance(argument, list):
        return [_value(item) for item in cast("list[Any]", argument)]
    return argument.meta["val"] if isinstance(argument, fx.Node) else argument


def _windows(pixels: int, cells: int) -> list[tuple[int, int]]:
    return [(cell * pixels // cells, -(-(cell + 1) * pixels // cells)) for cell in range(cells)]


def _averaged(write: _Writer, source: fx.Node, pixels: list[int], cells: list[int]) -> fx.Node:
    """`(B, C, H, W)` times `(W, w)`, and `(h, H)` times that."""
    matrices: list[Tensor] = []
    for size, count in zip(pixels, cells, strict=True):
        matrix = torch.zeros(size, count)
        for cell, (start, end) in enumerate(_windows(size, count)):
            matrix[start:end, cell] = 1 / (end - start)
        matrices.append(matrix)
    rows = write(aten.matmul.default, source, write.constant("columns", matrices[1]))
    return write(aten.matmul.default, write.constant("rows", matrices[0].T.contiguous()), rows)


def _largest(write: _Writer, source: fx.Node, axis: int, pixels: int, cells: int) -> fx.Node:
    parts = [
        write(aten.amax.default, write(aten.slice.Tensor, source, axis, start, end), [axis], True)
        for start, end in _windows(pixels, cells)
    ]
    return write(aten.cat.default, parts, axis)
