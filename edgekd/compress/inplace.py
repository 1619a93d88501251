"""In-place operators made functional on an ATen graph.

`relu_(x)` returns x after changing it. In a graph in order of execution that is `y = relu(x)` with every later read of
x replaced by y: earlier readers saw the old value, later ones see the new one. This holds as long as no other tensor
shares x's memory; such graphs are refused.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import fx

from edgekd.errors import CompressError


def functionalise(graph: fx.Graph) -> None:
    """Replaces every in-place operator, in order of execution.

    Raises:
        CompressError: an operator changes a weight or memory that tensors share, or has no functional form.
    """
    order = {node: position for position, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if not is_inplace(node):
            continue
        changed = cast(fx.Node, node.args[0])
        functional = _functional(node)
        if functional is None or changed.op == "get_attr" or _is_shared(changed, node, order):
            raise CompressError(
                "the network changes a tensor in place in a way that cannot be made functional",
                where=node.name,
                received=str(node.target),
                hint="use the operator's form that returns a new tensor (inplace=False)",
            )
        node.target = functional
        later = [user for user in changed.users if order[user] > order[node]]
        for user in later:
            user.replace_input_with(changed, node)


def is_inplace(node: fx.Node) -> bool:
    """The operator changes a tensor that it is given."""
    schema: Any = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


def _is_shared(changed: fx.Node, by: fx.Node, order: Mapping[fx.Node, int]) -> bool:
    """Another tensor made before the change shares memory with the changed one."""
    if any(_is_view(user) and order[user] < order[by] for user in changed.users):
        return True
    base = changed
    while _is_view(base):
        base = cast(fx.Node, base.args[0])
        if len(base.users) > 1:
            return True
    return False


def _is_view(node: fx.Node) -> bool:
    """The result shares memory with an argument that it does not change."""
    if node.target is operator.getitem:
        return True
    schema: Any = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or schema.is_mutable:
        return False
    if any(result.alias_info is not None for result in schema.returns):
        return True
    # These return a view whenever the layout allows, without saying so in their schema.
    return str(schema.name) in {"aten::reshape", "aten::flatten", "aten::contiguous"}


def _functional(node: fx.Node) -> Any:
    """`aten.relu.default` for `aten.relu_.default`; None where there is none."""
    name, overload = str(cast(Any, node.target)._schema.name).split("::")[-1], cast(Any, node.target)._overloadname
    if not name.endswith("_"):
        return None
    packet: Any = getattr(torch.ops.aten, name[:-1], None)
    return getattr(packet, overload, None) if packet is not None else None
