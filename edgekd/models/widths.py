"""Widths: the atoms (`axes.py`) of every tensor of a network, read off the graph that `torch.export` captures.

Each operator has a rule (`axis_rules.py`) that says which dimensions of its inputs and output are the same. An operator
without a rule fixes everything that it touches, so that an unknown network is narrowed too little, never wrongly.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from edgekd.errors import ModelError
from edgekd.models.attention import OpenAttention
from edgekd.models.axes import FIXED, WHOLE, Atom, Dims, Factors, fresh, leaves, mark, size_of
from edgekd.models.axis_rules import RULES, Call, pointwise
from edgekd.models.modules import evaluating

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)


@dataclass(frozen=True)
class Axis:
    """One place of an atom: the tensor's name, and the atom's position among all atoms of the tensor's dimensions."""

    tensor: str
    place: int


@dataclass(frozen=True)
class Widths:
    """The atoms of a network.

    Attributes:
        tensors: the dimensions of every parameter and buffer that the network reads, by name.
        made: where a weight makes the units of an atom: its output axis.
        read: where a weight reads them: its input axis.
    """

    tensors: dict[str, Dims]
    made: dict[Atom, list[Axis]]
    read: dict[Atom, list[Axis]]


def widths(model: nn.Module, example: Sequence[Tensor]) -> Widths:
    """The widths of a network.

    Args:
        model: called with the example in evaluation mode.
        example: its inputs, a batch of two.

    Raises:
        ModelError: the network cannot be captured.
    """
    try:
        with evaluating(model), torch.no_grad():
            exported = torch.export.export(model, tuple(example))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            "the network cannot be captured by torch.export, so its widths are not known",
            received=str(error).strip().split("\n")[0][:300],
            accepted="a network whose control flow does not depend on the values of its inputs",
        ) from error
    walk = _Walk(model)
    signature = exported.graph_signature
    walk.run(exported.graph, {**signature.inputs_to_parameters, **signature.inputs_to_buffers})
    for name in walk.layers:
        # An nn.MultiheadAttention that was not opened, and the like, compute with sizes that no tensor decides.
        if not isinstance(model.get_submodule(name.rpartition(".")[0]), (*LAYERS, OpenAttention)):
            mark([atom for factors in walk.tensors[name] for atom in factors], FIXED)
    tensors = {name: [leaves(factors) for factors in dims] for name, dims in walk.tensors.items()}
    found = Widths(tensors, {}, {})
    for name, (out, into) in walk.layers.items():
        for places, dim in ((found.made, out), (found.read, into)):
            if dim is not None:
                before = sum(map(len, tensors[name][:dim]))
                for place, atom in enumerate(tensors[name][dim], start=before):
                    places.setdefault(atom, []).append(Axis(name, place))
    return found


class _Walk:
    """One pass over the graph. `layers` holds the output and the input dimension of every weight."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors: dict[str, Dims] = {}
        self.layers: dict[str, tuple[int, int | None]] = {}
        self.names: dict[fx.Node, str] = {}
        self.values: dict[fx.Node, Any] = {}
        named = list(model.named_parameters(remove_duplicate=False))
        own = [id(value) for _, value in named]
        self.shared = {name for name, value in named if own.count(id(value)) > 1}
        self.stored = set(model.state_dict())

    def run(self, graph: fx.Graph, names: Mapping[str, str]) -> None:
        for node in graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node, names.get(node.name))
            elif node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "output":
                self._mark(node, WHOLE)

    def _placeholder(self, node: fx.Node, name: str | None) -> None:
        own = name in self.stored and name not in self.shared
        dims = [fresh(size, *([] if own else [FIXED])) for size in getattr(node.meta.get("val"), "shape", ())]
        self.values[node] = dims
        if name is not None and own:
            self.tensors[name] = dims
            self.names[node] = name

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            return self.values[cast(fx.Node, node.args[0])][node.args[1]]
        schema = getattr(node.target, "_schema", None)
        value = node.meta.get("val")
        if schema is None or value is None:
            return self._mark(node, FIXED)
        given = dict(zip((argument.name for argument in schema.arguments), node.args, strict=False))
        name = schema.name.split("::")[-1].rstrip("_")
        call = Call(node, name, {**given, **node.kwargs}, self.values, self.names, self.layers)
        rule = RULES.get(name) or (pointwise if torch.Tag.pointwise in cast(Any, node.target).tags else None)
        found = None if rule is None else rule(call)
        shapes = [tuple(item.shape) for item in (cast(Any, value) if isinstance(value, list | tuple) else [value])]
        several = cast("list[Dims]", found if isinstance(value, list | tuple) else [found])
        if found is not None and [tuple(map(size_of, dims)) for dims in several] == shapes:
            return found
        self._mark(node, FIXED)
        unknown = [[fresh(size, FIXED) for size in shape] for shape in shapes]
        return unknown if isinstance(value, list | tuple) else unknown[0]

    def _mark(self, node: fx.Node, name: str) -> None:
        for source in node.all_input_nodes:
            mark(_flat(self.values.get(source)), name)


def _flat(value: Any) -> Factors:
    if isinstance(value, Atom):
        return [value]
    return [atom for item in cast("list[Any]", value) for atom in _flat(item)] if isinstance(value, list) else []
