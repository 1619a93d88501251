"""Tensors that a network makes and fills itself, such as the attention masks of shifted windows, become constants.

    mask = x.new_zeros(8, 8);  mask[:4, :4] = 1;  ...

`mask` depends on no input, only on its shape, and every later value of it is known once the network is captured. What
is made of such a tensor alone is computed here, in the order of the graph, so that an assignment to a slice of it is
done once and no format needs an operator for it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx

from edgekd.compress.inplace import is_inplace
from edgekd.compress.nodes import attribute

aten: Any = torch.ops.aten
# Makers with their shape's position among the arguments.
MAKERS = {
    **dict.fromkeys((aten.new_zeros.default, aten.new_ones.default, aten.new_empty.default, aten.new_full.default), 1),
    **dict.fromkeys((aten.zeros.default, aten.ones.default, aten.empty.memory_format, aten.full.default), 0),
}


def evaluate_fresh(module: fx.GraphModule) -> None:
    """Replaces what such tensors are read as by buffers; a graph that assigns to none of them stays as it is."""
    if not any(is_inplace(node) and _base(node).target in MAKERS for node in module.graph.nodes):
        return
    values: dict[fx.Node, Tensor] = {}
    known = {node: attribute(module, str(node.target)) for node in module.graph.nodes if node.op == "get_attr"}
    for node in list(module.graph.nodes):
        is_made = _is_made(node)
        if is_made or (any(item in values for item in node.all_input_nodes) and _are_known(node, values, known)):
            found = _computed(node, {**known, **values}, is_made)
            if isinstance(found, Tensor):
                values[node] = found
        elif node.op == "call_function" and node.target is aten.lift_fresh_copy.default and node.args[0] in known:
            known[node] = known[node.args[0]].clone()
        else:
            _read(module, node, values)
    for node in reversed(list(module.graph.nodes)):
        if node in values and not node.users:
            module.graph.erase_node(node)


def _base(node: fx.Node) -> fx.Node:
    """The tensor that a chain of slices and changes began with."""
    while node.op == "call_function" and node.target not in MAKERS and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node


def _is_made(node: fx.Node) -> bool:
    if node.op != "call_function" or node.target not in MAKERS:
        return False
    return all(isinstance(size, int) for size in cast("list[object]", node.args[MAKERS[node.target]]))


def _computed(node: fx.Node, known: dict[fx.Node, Tensor], is_made: bool) -> object:
    args, kwargs = _with_values(list(node.args), known), _with_values(node.kwargs, known)
    if is_made and MAKERS[node.target] == 1:  # of the tensor that it is like, only the type counts
        args[0] = torch.empty(0, dtype=node.meta["val"].dtype)
    return cast(Any, node.target)(*args, **{name: item for name, item in kwargs.items() if name != "device"})


def _are_known(node: fx.Node, values: dict[fx.Node, Tensor], known: dict[fx.Node, Tensor]) -> bool:
    return all(item in values or item in known for item in node.all_input_nodes)


def _with_values(argument: Any, found: dict[fx.Node, Tensor]) -> Any:
    if isinstance(argument, (tuple, list)):
        return [_with_values(item, found) for item in cast("list[Any]", argument)]
    if isinstance(argument, dict):
        return {name: _with_values(item, found) for name, item in cast("dict[str, Any]", argument).items()}
    return found.get(argument, argument) if isinstance(argument, fx.Node) else argument


def _read(module: fx.GraphModule, reader: fx.Node, values: dict[fx.Node, Tensor]) -> None:
    """Gives a node that depends on the input the present value of each such tensor that it reads."""
    for source in [item for item in reader.all_input_nodes if item in values]:
        path = f"fresh_{source.name}_{reader.name}"
        module.register_buffer(path, values[source].clone())
        with module.graph.inserting_before(reader):
            constant = module.graph.get_attr(path)
        constant.meta["val"] = source.meta.get("val")
        reader.replace_input_with(source, constant)
