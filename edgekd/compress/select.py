"""Chooses the operators that run in integers, and says for every other one why it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

from edgekd.compress import operators as ops
from edgekd.compress.description import KeptFloat
from edgekd.errors import CompressError, nearest

if TYPE_CHECKING:
    from torch import fx

    from edgekd.compress.fold import Program


@dataclass(frozen=True)
class Selection:
    """Node names that run in integers, in order of execution, those with an INT8 table, and the operators in float."""

    quantized: list[str]
    embeddings: list[str]
    kept_float: list[KeptFloat]


def select(program: Program, keep_float: Sequence[str], *, dynamic: bool = False) -> Selection:
    """Every operator on float tensors is in one of the three lists.

    Args:
        program: the folded network.
        keep_float: patterns (`*`, `?`, `[...]`) of layers that the user keeps in float, by their readable name
            (`layer1.0.conv1`) or their node name (`conv2d_1`).
        dynamic: activations are quantized at run time, where only linear layers gain from it.

    Raises:
        CompressError: a pattern that matches nothing, or nothing is left to quantize.
    """
    types, layers = program.operators(), program.layers()
    wanted = requested(keep_float, layers)
    chosen: set[str] = set()
    selection = Selection([], [], [])
    for node in program.module.graph.nodes:
        if node.op != "call_function" or not _is_float(node):
            continue
        obstacle = ops.ON_REQUEST if node.name in wanted else _obstacle(node, types[node.name], chosen)
        if obstacle == ops.FLOAT_INPUTS and _prepares_input(node, types, wanted):
            obstacle = None
        if obstacle is None and types[node.name] in ops.JOINING and not _feeds_integers(node, types, wanted):
            obstacle = ops.FLOAT_READERS
        if obstacle is None and dynamic and types[node.name] not in ops.DYNAMIC | ops.LOOKUPS:
            obstacle = ops.RUN_TIME
        if obstacle is None and types[node.name] in ops.LOOKUPS:
            selection.embeddings.append(node.name)
        elif obstacle is None:
            chosen.add(node.name)
            selection.quantized.append(node.name)
        else:
            kept = KeptFloat(layer=layers[node.name], operator=types[node.name], reason=obstacle)
            selection.kept_float.append(kept)
    if not any(types[name] in ops.WEIGHTED for name in chosen):
        raise CompressError(
            "no convolution or linear layer is left to quantize",
            received=f"keep_float: {list(keep_float)}" if keep_float else f"operators {sorted(set(types.values()))}",
            accepted=f"a network with at least one of {', '.join(ops.WEIGHTED)}",
        )
    return selection


def requested(patterns: Sequence[str], layers: Mapping[str, str]) -> set[str]:
    """Node names that the patterns match.

    Args:
        patterns: as in `select`.
        layers: readable name by node name.
    """
    found: set[str] = set()
    for pattern in patterns:
        hits = {node for node, layer in layers.items() if fnmatchcase(layer, pattern) or fnmatchcase(node, pattern)}
        if not hits:
            names = [*layers.values(), *layers]
            raise CompressError(
                f"keep_float names no layer of this network{nearest(pattern, names)}",
                where="compress.keep_float",
                received=pattern,
                accepted=", ".join([*dict.fromkeys(layers.values())][:12]) + (", ..." if len(layers) > 12 else ""),
            )
        found |= hits
    return found


def _is_float(node: fx.Node) -> bool:
    """Shape arithmetic and index tensors are not a matter of quantization."""
    value: Any = node.meta.get("val")
    values = list(cast("tuple[Any, ...]", value)) if isinstance(value, (tuple, list)) else [value]
    return any(getattr(item, "is_floating_point", lambda: False)() for item in values)


def _obstacle(node: fx.Node, operator: str, chosen: set[str]) -> str | None:
    """Why this operator stays in float; None if it does not."""
    if operator in ops.WEIGHTED or operator in ops.LOOKUPS:
        position = 0 if operator in ops.LOOKUPS else 1
        weight = node.args[position] if len(node.args) > position else node.kwargs.get("weight")
        return None if getattr(weight, "op", "") == "get_attr" else ops.COMPUTED_WEIGHT
    if operator in ops.COMBINING:
        inputs = _operands(node)
        if len(inputs) < 2 or any(item.op == "get_attr" for item in inputs):
            return ops.CONSTANT_OPERAND
        known = [item.name in chosen for item in inputs]
        # Of networks that normalise first: the residual stream, whose few large channels 8 bits do not hold.
        if any(known) and not all(known) and _is_normalised(node):
            return ops.BETWEEN_FLOATS
        return None if any(known) else ops.FLOAT_INPUTS
    if operator in ops.FOLLOWING:
        return None if node.all_input_nodes and node.all_input_nodes[0].name in chosen else ops.FLOAT_INPUTS
    return ops.reason(operator)


def _is_normalised(node: fx.Node) -> bool:
    """A normalisation in float reads it, or a mean or a part of it."""
    from edgekd.compress.nodes import operator_type

    types = {user: operator_type(user) for user in node.users}
    between = ops.AVERAGING | ops.MOVING
    return any(kind in ops.NORMS or (kind in between and _is_normalised(user)) for user, kind in types.items())


def _prepares_input(node: fx.Node, types: Mapping[str, str], wanted: set[str]) -> bool:
    """Moves the network's input (pads it) for a layer in integers: quantizing before or after is the same."""
    if types[node.name] not in ops.MOVING or node.all_input_nodes[0].op != "placeholder":
        return False
    return any(types.get(user.name) in ops.WEIGHTED and user.name not in wanted for user in node.users)


def _feeds_integers(node: fx.Node, types: Mapping[str, str], wanted: set[str]) -> bool:
    """A layer in integers reads it, or what follows it.

    Where none does, eight bits for all that is joined only lose the smaller of the tensors, such as a class token; and
    OpenVINO's plugin dies where a batch normalisation reads them.
    """
    for user in node.users:
        kind = types.get(user.name)
        combines = kind in ops.COMBINING and all(item.op != "get_attr" for item in _operands(user))
        if user.name not in wanted and (
            kind in ops.WEIGHTED or combines or (kind in ops.FOLLOWING and _feeds_integers(user, types, wanted))
        ):
            return True
    return False


def _operands(node: fx.Node) -> list[fx.Node]:
    """The tensors that a combining operator reads, twice the same one included."""
    from torch import fx

    flat: list[object] = []
    for argument in node.args[:2]:
        flat.extend(argument if isinstance(argument, (list, tuple)) else [argument])
    return [item for item in flat if isinstance(item, fx.Node)]
