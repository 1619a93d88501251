"""Runs a graph and shows every float tensor that it makes, each dropped after its last reader."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edgekd.compress.nodes import layer_name, operator_type
from edgekd.errors import CompressError


class Visitor(fx.Interpreter):
    """Base of what looks at a program's tensors."""

    def __init__(self, module: fx.GraphModule) -> None:
        """A visitor of one graph."""
        super().__init__(module, garbage_collect_values=True)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The graph's output, without gradients."""
        with torch.inference_mode():
            return super().run(*args, **kwargs)

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node and shows its value."""
        value = super().run_node(n)
        if n.op in ("placeholder", "call_function") and isinstance(value, Tensor) and value.is_floating_point():
            self.show(n, value)
        return value

    def show(self, node: fx.Node, value: Tensor) -> None:
        """Called once per tensor, in order of execution; checks that it is finite."""
        bounds(node, value)


def bounds(node: fx.Node, value: Tensor) -> tuple[float, float]:
    """Smallest and largest value of a tensor that is not empty.

    Raises:
        CompressError: one of its values is NaN or infinite.
    """
    minimum, maximum = (float(bound) for bound in torch.aminmax(value))
    if torch.isfinite(torch.tensor([minimum, maximum])).all():
        return minimum, maximum
    is_input = node.op == "placeholder"
    raise CompressError(
        "a layer answers with NaN or infinity",
        where="the network's input" if is_input else f"{layer_name(node)} ({operator_type(node)})",
        received=f"values from {minimum} to {maximum}",
        accepted="finite values",
        hint="check the weights of this layer, and the normalisation of the images",
    )
