"""What a node of an ATen graph is: its operator's type, its layer's name, its weights."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, fx, nn


def operator_type(node: fx.Node) -> str:
    """`conv2d` for `aten.conv2d.default`."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return str(getattr(node.target, "__name__", node.target))
    return str(schema.name).split("::")[-1]


def attribute(module: nn.Module, target: str) -> Tensor:
    """The parameter or buffer that a `get_attr` node names."""
    return cast(Tensor, operator.attrgetter(target)(module))


def layer_arguments(layer: fx.Node) -> tuple[fx.Node, fx.Node | None]:
    """The nodes that give a convolution or linear layer its weight and bias."""
    weight = layer.args[1] if len(layer.args) > 1 else layer.kwargs["weight"]
    bias = layer.args[2] if len(layer.args) > 2 else layer.kwargs.get("bias")
    return cast(fx.Node, weight), cast("fx.Node | None", bias)


def layer_name(node: fx.Node) -> str:
    """Readable name of an operator, see `Program.layers`; the node's own name where the model has none for it."""
    stack = cast("Mapping[str, tuple[str, Any]]", node.meta.get("nn_module_stack") or {})
    if not stack or node.op != "call_function":
        return node.name
    path, kind = list(stack.values())[-1]
    if path.startswith("_empty_nn_module_stack"):
        return node.name
    path = path.split("@")[0]
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    has_weight = any(
        isinstance(arg, fx.Node) and arg.op == "get_attr" and str(arg.target).rpartition(".")[0] == path
        for arg in node.args
    )
    is_layer = kind.startswith("torch.nn.modules.") and ".container." not in kind
    if path and (has_weight or is_layer):
        return path
    return f"{path}.{operator_type(node)}" if path else node.name
