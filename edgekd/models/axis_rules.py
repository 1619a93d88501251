"""Rules: which dimensions of an operator's inputs and output are the same thing, one per ATen operator.

A rule unifies what must agree, marks what must not be narrowed, and returns the dimensions of the output; None where it
does not know the form of the call. `pointwise` serves every operator that torch tags so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx

from edgekd.models.axes import (
    FIXED,
    HEAD_DIM,
    HEADS,
    STREAM,
    WHOLE,
    Dims,
    Factors,
    fresh,
    leaves,
    mark,
    reshaped,
    size_of,
    unify,
)


@dataclass(frozen=True)
class Call:
    """One operator call. `call["weight"]` are the dimensions of an argument; `call.value("dim")` is a plain one.

    Attributes:
        node: of the graph.
        name: of the operator, without its overload and the mark of an in-place one.
        given: its arguments by name.
        values: dimensions of every node before it; a list of them where a node has several outputs.
        names: the tensors that nodes stand for.
        layers: output and input dimension of every weight found so far.
    """

    node: fx.Node
    name: str
    given: Mapping[str, Any]
    values: Mapping[fx.Node, Any]
    names: Mapping[fx.Node, str]
    layers: dict[str, tuple[int, int | None]]

    def __getitem__(self, name: str) -> Dims:
        return self.values[self.given[name]]

    def has(self, name: str) -> bool:
        """Whether the argument is a tensor."""
        return isinstance(self.given.get(name), fx.Node)

    def value(self, name: str, default: Any = None) -> Any:
        """The argument itself."""
        return self.given.get(name, default)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return tuple(self.node.meta["val"].shape)

    def weight(self, name: str, out: int, into: int | None) -> Dims:
        """The argument's dimensions, noted as those of a layer's weight."""
        if self.given[name] in self.names:
            self.layers[self.names[self.given[name]]] = (out, into)
        return self[name]

    def bind(self, factors: Factors, *names: str) -> None:
        """Vectors (bias, scale, running mean) that have one value per unit of the dimension."""
        for name in names:
            if self.has(name):
                unify(factors, self[name][0])


def pointwise(call: Call) -> Dims:
    """Same shapes, or broadcast. What is added to the output of another layer is a residual stream."""
    operands = [node for node in call.node.all_input_nodes if isinstance(call.values.get(node), list)]
    found: Dims = [[] for _ in call.shape]
    made = 0
    for node in operands:
        dims: Dims = call.values[node]
        added = call.name in ("add", "sub") and made > 0 and node not in call.names
        made += node not in call.names
        for index, factors in enumerate(dims, start=len(found) - len(dims)):
            if found[index] and factors:
                if added and leaves(found[index]) != leaves(factors):
                    mark([*found[index], *factors], STREAM)
                unify(found[index], factors)
            found[index] = found[index] or factors
    return found


def _convolution(call: Call) -> Dims | None:
    x, weight, groups = call["input"], call.weight("weight", 0, 1), call.value("groups", 1)
    if len(x) != len(weight):
        return None
    if groups == 1:
        unify(x[1], weight[1])
    elif not weight[1]:  # depthwise: each input channel has filters of its own
        unify([*x[1], *fresh(size_of(weight[0]) // groups, FIXED)], weight[0])
    else:
        mark([*x[1], *weight[0], *weight[1]], FIXED)
    call.bind(weight[0], "bias")
    return [x[0], weight[0], *(fresh(size, FIXED) for size in call.shape[2:])]


def _linear(call: Call) -> Dims:
    x, weight = call["input"], call.weight("weight", 0, 1)
    unify(x[-1], weight[1])
    call.bind(weight[0], "bias")
    return [*x[:-1], weight[0]]


def _embedding(call: Call) -> Dims:
    weight = call.weight("weight", 1, None)
    mark(weight[0], FIXED)
    return [*call["indices"], weight[1]]


def _batch_norm(call: Call) -> Dims:
    call.bind(call["input"][1], "weight", "bias", "running_mean", "running_var")
    return call["input"]


def _layer_norm(call: Call) -> Dims | None:
    if len(call.value("normalized_shape")) > 1:
        return None
    call.bind(call["input"][-1], "weight", "bias")
    return call["input"]


def _resized(call: Call) -> Dims:
    """Padding, pooling, slicing, expanding: dimensions of unchanged size stay what they are."""
    dims: Dims = call.values[call.node.all_input_nodes[0]]
    dims = [*([] for _ in range(len(call.shape) - len(dims))), *dims]
    for factors, size in zip(dims, call.shape, strict=True):
        if size_of(factors) != size:
            mark(factors, FIXED)
    return [f if size_of(f) == size else fresh(size, FIXED) for f, size in zip(dims, call.shape, strict=True)]


def _reshape(call: Call) -> Dims:
    return reshaped(call["self"], call.shape)


def _permute(call: Call) -> Dims:
    return [call["self"][dim] for dim in call.value("dims")]


def _transpose(call: Call) -> Dims:
    found, first, second = list(call["self"]), call.value("dim0"), call.value("dim1")
    found[first], found[second] = found[second], found[first]
    return found


def _unbind(call: Call) -> list[Dims]:
    found: Dims = list(call["self"])
    mark(found.pop(int(call.value("dim", 0))), FIXED)
    return [found for _ in call.node.meta["val"]]


def _select(call: Call) -> Dims:
    found: Dims = list(call["self"])
    mark(found.pop(int(call.value("dim"))), FIXED)
    return found


def _reduce(call: Call) -> Dims | None:
    if not call.value("dim"):  # over everything
        return None
    dims = call["self"]
    reduced: set[int] = {dim % len(dims) for dim in call.value("dim")}
    for dim in reduced:
        mark(dims[dim], WHOLE if call.name == "linalg_vector_norm" else FIXED)  # a mean depends on the number of units
    kept: Dims = [[] if index in reduced else factors for index, factors in enumerate(dims)]
    return kept if call.value("keepdim") else [kept[index] for index in range(len(dims)) if index not in reduced]


def _softmax(call: Call) -> Dims:
    dims = call["self"]
    mark(dims[int(call.value("dim"))], FIXED)
    return dims


def _cat(call: Call) -> Dims:
    parts: list[Dims] = [call.values[node] for node in call.value("tensors")]
    along: int = call.value("dim", 0) % len(parts[0])
    for part in parts:
        mark(part[along], FIXED)
        for index, factors in enumerate(part):
            if index != along:
                unify(parts[0][index], factors)
    return [fresh(size, FIXED) if i == along else parts[0][i] for i, size in enumerate(call.shape)]


def _matmul(call: Call) -> Dims | None:
    left, right = call["self"], call["other" if call.has("other") else "mat2"]
    if len(left) != len(right) or len(left) < 2:
        return None
    unify(left[-1], right[-2])
    for a, b in zip(left[:-2], right[:-2], strict=True):
        unify(a, b)
    if len(left) > 2:
        mark(left[-3], HEADS)
        mark(left[-1], HEAD_DIM)
        mark(right[-1], HEAD_DIM)
    return [*left[:-1], right[-1]]


def _attention(call: Call) -> Dims:
    query, key, value = call["query"], call["key"], call["value"]
    unify(query[-1], key[-1])
    unify(key[-2], value[-2])
    for a, b, c in zip(query[:-2], key[:-2], value[:-2], strict=True):
        unify(a, b)
        unify(a, c)
    mark(query[-3], HEADS)
    mark([*query[-1], *value[-1]], HEAD_DIM)
    return [*query[:-1], value[-1]]


def _named(names: str, rule: Callable[[Call], Any]) -> dict[str, Callable[[Call], Any]]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Callable[[Call], Any]] = {
    **_named("conv1d conv2d conv3d", _convolution),
    **_named("linear", _linear),
    **_named("embedding", _embedding),
    **_named("batch_norm", _batch_norm),
    **_named("layer_norm", _layer_norm),
    **_named("pad slice expand max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d", _resized),
    **_named("view reshape flatten unflatten squeeze unsqueeze", _reshape),
    **_named("permute", _permute),
    **_named("transpose", _transpose),
    **_named("unbind", _unbind),
    **_named("select", _select),
    **_named("mean sum amax linalg_vector_norm", _reduce),
    **_named("softmax", _softmax),
    **_named("cat", _cat),
    **_named("matmul bmm", _matmul),
    **_named("scaled_dot_product_attention", _attention),
    # Pointwise, though torch does not tag them so.
    **_named("hardswish dropout expand_as to contiguous clone alias detach", pointwise),
}
