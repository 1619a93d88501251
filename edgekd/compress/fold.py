"""The folded float program: the one graph that every file format starts from.

A network is captured with `torch.export` at a free batch size (a text network at a free number of tokens as well),
then rewritten on the ATen graph: tensors that the network makes itself become constants (`fresh.py`), in-place
operators functional (`inplace.py`), what only training needs (dropout, parallel branches) goes, batch normalisation is
folded into the convolution or linear layer before it (`norms.py`), and adaptive pools are spelled out (`pools.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import CodeGen

from edgekd.compress.fresh import evaluate_fresh
from edgekd.compress.inplace import functionalise
from edgekd.compress.nodes import attribute, layer_name, operator_type
from edgekd.compress.norms import fold_norms
from edgekd.compress.pools import spell_out_pools
from edgekd.compress.visit import Visitor
from edgekd.errors import CompressError, EdgekdError, cause_of
from edgekd.models.modules import evaluating

aten: Any = torch.ops.aten
T = TypeVar("T")

# All return their first argument unchanged in inference.
IDENTITIES = {
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.alpha_dropout.default,
    aten.feature_alpha_dropout.default,
    aten.detach.default,
    aten.alias.default,
    aten.lift_fresh_copy.default,
}

# torch's word for it, with the names of `_free_axes`.
BUILT_IN = re.compile(r"You marked (batch|tokens) as dynamic but your code specialized it to be a constant \((\d+)\)")

# What the inputs are called in every file.
IMAGE_INPUTS = ("input",)
TEXT_INPUTS = ("input_ids", "attention_mask")

# What timm, and the papers' own code, call the method of a block that merges its branches.
MERGE = "reparameterize"

# Folding rounds every weight once more: 1.1e-6 was the worst of the torchvision and timm networks tried.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Program:
    """A float network as a flat graph of functional ATen operators.

    Attributes:
        module: the graph; called with images `(B, C, H, W)` float32, or with token ids and attention mask `(B, T)`
            int64, for any B >= 1 and T from 1 to `max_tokens`, it returns the logits. Its `get_attr` nodes are
            parameters and buffers, its placeholders are the inputs.
        example: the probe batch: real samples, on which tensors are fingerprinted; texts of one length, not padded.
        max_tokens: of a text; None for images.
    """

    module: fx.GraphModule
    example: tuple[Tensor, ...]
    max_tokens: int | None = None
    _kept: dict[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    def once(self, key: str, build: Callable[[], T]) -> T:
        """`build()` for the first call with this key, its result afterwards: what several formats derive from it.

        A program is never changed after folding.
        """
        if key not in self._kept:
            self._kept[key] = build()
        return self._kept[key]

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Logits of a batch, without gradients: `(B, K)`, of each token `(B, T, K)`, or an embedding `(B, D)`."""
        with torch.no_grad():
            return self.module(*inputs)

    @property
    def input(self) -> str:
        """Node name of the first input."""
        return next(node.name for node in self.module.graph.nodes if node.op == "placeholder")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs in every file."""
        return IMAGE_INPUTS if self.max_tokens is None else TEXT_INPUTS

    @property
    def dynamic_shapes(self) -> tuple[dict[int, Any], ...]:
        """The free axes of every input."""
        return _free_axes(len(self.example), self.max_tokens)

    def sample(self, index: int) -> tuple[Tensor, ...]:
        """One sample of the probe batch, as a batch of one."""
        return tuple(tensor[index : index + 1] for tensor in self.example)

    def pair(self) -> tuple[Tensor, ...]:
        """The first sample twice: a batch of 1 would be taken for a constant by torch.export."""
        return tuple(torch.cat([tensor, tensor]) for tensor in self.sample(0))

    def operators(self) -> dict[str, str]:
        """Type of every operator by node name, in order of execution: `{"conv2d_3": "conv2d", "add": "add", ...}`."""
        return {node.name: operator_type(node) for node in self.module.graph.nodes if node.op == "call_function"}

    def layers(self) -> dict[str, str]:
        """Readable name of every operator by node name: `{"conv2d_3": "layer1.0.conv2", "add": "layer1.0.add"}`.

        A layer with weights has its module's name. An operator called by a module that is more than this operator has
        the module's name and its own. A module that is called twice gives the same name twice.
        """
        return {node.name: layer_name(node) for node in self.module.graph.nodes if node.op == "call_function"}


def fold(model: nn.Module, example: tuple[Tensor, ...], max_tokens: int | None = None) -> Program:
    """Captures and folds a network; the network itself is not changed.

    Args:
        model: maps `(B, C, H, W)` float32, or `input_ids` and `attention_mask` `(B, T)` int64, to one tensor.
        example: a small batch of real samples, images `((B, C, H, W),)` or texts `((B, T), (B, T))` of one length;
            8 or more make its statistics telling.
        max_tokens: the longest text; None: the inputs are images.

    Raises:
        CompressError: the network cannot be captured at a free batch size, does not return one tensor, or changes its
            tensors in a way that cannot be made functional.
    """
    _check_example(example, max_tokens)
    with evaluating(model), torch.no_grad():
        captured = _capture(merged(model), example, max_tokens)
        expected: object = model(*example)
    if not isinstance(expected, Tensor):
        raise CompressError("the network must return one tensor of logits", received=type(expected).__name__)
    graph = captured.graph
    evaluate_fresh(captured)
    functionalise(graph)
    _remove_identities(graph)
    fold_norms(captured)
    spell_out_pools(captured)
    graph.eliminate_dead_code()
    held = tuple(tensor.detach().clone() for tensor in example)
    program = Program(module=_rebuild(captured), example=held, max_tokens=max_tokens)
    _check(program, expected)
    return program


def merged(model: nn.Module) -> nn.Module:
    """The network with the branches merged that only its training needs; itself where it has none.

    MobileOne's and RepVGG's blocks can do that themselves: Ding et al. 2021, https://arxiv.org/abs/2101.03697, section
    3.3.
    """
    if not any(callable(getattr(module, MERGE, None)) for module in model.modules()):
        return model
    copied = deepcopy(model)
    for module in list(copied.modules()):
        if callable(merge := getattr(module, MERGE, None)):
            merge()
    return copied


def _check_example(example: tuple[Tensor, ...], max_tokens: int | None) -> None:
    shapes = [list(tensor.shape) for tensor in example]
    if max_tokens is None:
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][0] < 1:
            received = shapes[0] if len(shapes) == 1 else shapes
            raise CompressError("the probe batch must be images", received=received, accepted="(B, C, H, W), B >= 1")
    elif len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2 or 0 in shapes[0]:
        accepted = "token ids and attention mask, both (B, T), B >= 1, T >= 1"
        raise CompressError("the probe batch must be texts", received=shapes, accepted=accepted)
    elif not bool(example[1].all()):
        raise CompressError("the probe batch must be texts of one length", received="padding in its attention mask")


def _free_axes(inputs: int, max_tokens: int | None) -> tuple[dict[int, Any], ...]:
    batch = torch.export.Dim("batch", min=1)
    if max_tokens is None:
        return ({0: batch},)
    tokens = torch.export.Dim("tokens", min=1, max=max_tokens)
    return tuple({0: batch, 1: tokens} for _ in range(inputs))


def _capture(model: nn.Module, example: tuple[Tensor, ...], max_tokens: int | None) -> fx.GraphModule:
    # A size of 1 would be specialised to the constant 1 by torch.export.
    traced = example if example[0].shape[0] > 1 else tuple(torch.cat([tensor, tensor]) for tensor in example)
    if max_tokens is not None and traced[0].shape[1] == 1:
        traced = tuple(torch.cat([tensor, tensor], 1) for tensor in traced)
    try:
        exported = torch.export.export(model, traced, dynamic_shapes=_free_axes(len(traced), max_tokens))
    except (EdgekdError, OSError, MemoryError):
        raise
    except Exception as error:  # the border to the network's own code, and to torch's capture of it
        raise _refusal(error, max_tokens) from error
    results = exported.graph_signature.user_outputs
    if len(results) != 1:
        raise CompressError("the network must return one tensor of logits", received=f"{len(results)} outputs")
    module = exported.module(check_guards=False)
    module.graph.set_codegen(CodeGen())
    _flatten_output(module.graph)
    return module


def _refusal(error: Exception, max_tokens: int | None) -> CompressError:
    """Why a network cannot be captured; a size that is built into it is told as such."""
    free = "a free batch size" + ("" if max_tokens is None else " and a free number of tokens")
    if built_in := BUILT_IN.search(str(error)):
        what = {"batch": "batch size", "tokens": "number of tokens"}[built_in[1]]
        return CompressError(
            f"the network has a {what} built in: it takes {built_in[2]} alone, the {what} that it was tried with",
            accepted=free,
            hint="where the network reshapes, expands or creates a tensor, or loops over one, take the size from its "
            "input: x.reshape(x.shape[0], -1) in place of x.reshape(8, -1)",
        )
    return CompressError(
        f"the network cannot be captured by torch.export with {free}",
        received=cause_of(error),
        accepted="a network whose control flow does not depend on the values or the number of its inputs",
    )


def _flatten_output(graph: fx.Graph) -> None:
    output = graph.output_node()
    value: Any = output.args[0]
    while isinstance(value, (tuple, list)):
        value = cast(Any, value[0])
    output.args = (value,)


def _remove_identities(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "call_function" and (node.target in IDENTITIES or _is_whole_slice(node)):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif node.op == "call_module" or operator_type(node).startswith("_assert"):
            graph.erase_node(node)


def _is_whole_slice(node: fx.Node) -> bool:
    """`x[:, :]` cuts nothing off: slice(x, dim, start, end, step)."""
    if node.target is not aten.slice.Tensor:
        return False
    given = node.args[2:5]
    start, end, step = (*given, *(None, None, 1)[len(given) :])
    # An open end is written as the largest INT64.
    return bool(start in (None, 0) and end in (None, 2**63 - 1) and step == 1)


def _rebuild(captured: fx.GraphModule) -> fx.GraphModule:
    """A module that holds only the tensors that the graph reads, and shares none with the original network."""
    tensors: dict[str, Any] = {}
    for node in captured.graph.nodes:
        if node.op == "get_attr" and node.target not in tensors:
            value = attribute(captured, node.target)
            copy = value.detach().clone()
            is_weight = isinstance(value, nn.Parameter)
            tensors[node.target] = nn.Parameter(copy, requires_grad=False) if is_weight else copy
    module = fx.GraphModule(tensors, captured.graph, class_name="Folded")
    module.graph.lint()
    return module.eval()


def _check(program: Program, expected: Tensor) -> None:
    actual = program(*program.example)
    if not bool(torch.isfinite(expected).all()):
        Visitor(program.module).run(*program.example)
    error = float((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-12))
    if not error <= TOLERANCE:
        raise CompressError(
            "the folded network does not answer as the original",
            received=f"relative error {error:.2g}",
            accepted=f"at most {TOLERANCE:g}",
            hint="look for in-place changes of a tensor that is read again",
        )
