"""Folds batch normalisation, and a learned factor per channel, into the convolution or linear layer before it.

In inference it is affine per output channel c, and so is the layer before it:

    y_c = gamma_c * (w_c . x + b_c - mean_c) / sqrt(var_c + eps) + beta_c
        = (s_c w_c) . x + (b_c - mean_c) s_c + beta_c          with  s_c = gamma_c / sqrt(var_c + eps)

so `w_c <- s_c w_c` and `b_c <- (b_c - mean_c) s_c + beta_c` give the same function with one layer (Jacob et al. 2018,
section 3.2). A factor per channel (LayerScale: Touvron et al. 2021, https://arxiv.org/abs/2103.17239) is the case
without mean, variance and beta. Axes may be moved in between, as between the channels-last and the channels-first part
of a block. The arithmetic is in float64 and rounded once to the weights' type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from edgekd.compress.nodes import attribute, layer_arguments

aten: Any = torch.ops.aten

FOLDABLE = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv3d.default,
    aten.conv3d.padding,
    aten.linear.default,
}

# Where they leave the last axis as it is.
KEEP_LAST = {aten.view.default, aten.reshape.default, aten.flatten.using_ints}


@dataclass(frozen=True)
class Norm:
    """One inference batch normalisation: `gamma`, `beta`, `mean`, `var` are `(C,)` float64."""

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor
    eps: float


def fold_norm(weight: Tensor, bias: Tensor | None, norm: Norm) -> tuple[Tensor, Tensor]:
    """Weight `(C, ...)` and bias `(C,)` of the layer followed by its normalisation, in the weight's type."""
    scale = norm.gamma / torch.sqrt(norm.var + norm.eps)  # (C,)
    shift = torch.zeros_like(norm.mean) if bias is None else bias.double()
    scaled = weight.double() * scale.reshape(-1, *[1] * (weight.ndim - 1))  # (C, ...)
    return scaled.to(weight.dtype), ((shift - norm.mean) * scale + norm.beta).to(weight.dtype)


@dataclass(frozen=True)
class _Found:
    """What a node does to each channel of `source`, which lie along `axis`."""

    source: fx.Node
    axis: int
    norm: Norm


def fold_norms(module: fx.GraphModule) -> None:
    """Folds every normalisation and factor of a captured graph that can be; the others stay as they are."""
    graph = module.graph
    for node in list(graph.nodes):
        found = _found(module, node)
        layer = None if found is None else _layer_before(found.source, found.axis)
        if found is None or layer is None:
            continue
        weight, bias = layer_arguments(layer)
        folded = fold_norm(cast(Tensor, _read(module, weight)), _read(module, bias), found.norm)
        path = _own_path(module, weight, bias)
        for name, tensor in zip(("weight", "bias"), folded, strict=True):
            _assign(module, f"{path}.{name}", tensor)
        with graph.inserting_before(layer):
            tensors = [graph.get_attr(f"{path}.weight"), graph.get_attr(f"{path}.bias")]
        layer.args = (layer.args[0], *tensors, *layer.args[3:])
        layer.kwargs = {key: value for key, value in layer.kwargs.items() if key not in ("weight", "bias")}
        node.replace_all_uses_with(found.source)
        graph.erase_node(node)


def _read(module: nn.Module, node: object) -> Tensor | None:
    return attribute(module, str(node.target)).detach() if isinstance(node, fx.Node) else None


def _assign(module: nn.Module, path: str, tensor: Tensor) -> None:
    """Puts a parameter at a dotted path, making the modules on the way."""
    *parents, name = path.split(".")
    for parent in parents:
        if not hasattr(module, parent):
            module.add_module(parent, nn.Module())
        module = cast(nn.Module, getattr(module, parent))
    module.register_parameter(name, nn.Parameter(tensor, requires_grad=False))


def _is_constant_norm(node: fx.Node) -> bool:
    """Batch normalisation with stored statistics; without them it normalises by the batch at hand."""
    if node.op != "call_function" or node.target is not aten.batch_norm.default:
        return False
    is_stored = all(isinstance(item, fx.Node) and item.op == "get_attr" for item in node.args[3:5])
    return is_stored and node.args[5] is False


def _found(module: nn.Module, node: fx.Node) -> _Found | None:
    if _is_constant_norm(node):
        return _Found(cast(fx.Node, node.args[0]), 1, _read_norm(module, node))
    if node.op != "call_function" or node.target is not aten.mul.Tensor:
        return None
    for source, factor in (node.args, node.args[::-1]):
        value = _constant(module, factor)
        if value is None or not isinstance(source, fx.Node) or value.ndim > source.meta["val"].ndim:
            continue
        axes = [axis - value.ndim for axis, size in enumerate(value.shape) if size > 1]
        if len(axes) == 1:
            gamma = value.double().flatten()
            nothing = torch.zeros_like(gamma)
            norm = Norm(gamma, beta=nothing, mean=nothing, var=torch.ones_like(gamma), eps=0.0)
            return _Found(source, source.meta["val"].ndim + axes[0], norm)
    return None


def _constant(module: nn.Module, node: object) -> Tensor | None:
    """A stored tensor, or one in another shape."""
    if not isinstance(node, fx.Node):
        return None
    if node.op == "get_attr":
        return _read(module, node)
    if node.target in (aten.view.default, aten.reshape.default) and node.args[0].op == "get_attr":  # pyright: ignore
        value = _read(module, node.args[0])
        return None if value is None else value.reshape(tuple(node.meta["val"].shape))
    return None


def _layer_before(node: fx.Node, axis: int) -> fx.Node | None:
    """The foldable layer whose channels are that axis of the value; nothing else reads it, nor what moves its axes."""
    while node.op == "call_function" and sum(user.target is not aten.sym_size.int for user in node.users) == 1:
        if node.target in FOLDABLE:
            weight, bias = layer_arguments(node)
            is_constant = weight.op == "get_attr" and (bias is None or bias.op == "get_attr")
            channels = node.meta["val"].ndim - 1 if node.target is aten.linear.default else 1
            return node if is_constant and axis == channels else None
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or not isinstance(source.meta.get("val"), Tensor):
            return None
        before, after = source.meta["val"].shape, node.meta["val"].shape
        if node.target is aten.permute.default:
            axis = cast("list[int]", node.args[1])[axis] % len(before)
        elif node.target is aten.transpose.int:
            pair = [cast(int, dimension) % len(before) for dimension in node.args[1:3]]
            axis = pair[1 - pair.index(axis)] if axis in pair else axis
        elif node.target in KEEP_LAST and axis == len(after) - 1 and before[-1] == after[-1]:
            axis = len(before) - 1
        else:
            return None
        node = source
    return None


def _read_norm(module: nn.Module, node: fx.Node) -> Norm:
    # batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
    gamma, beta, mean, var = (_read(module, argument) for argument in node.args[1:5])
    mean, var = cast(Tensor, mean).double(), cast(Tensor, var).double()
    return Norm(
        gamma=torch.ones_like(mean) if gamma is None else gamma.double(),
        beta=torch.zeros_like(mean) if beta is None else beta.double(),
        mean=mean,
        var=var,
        eps=cast(float, node.args[7]),
    )


def _own_path(module: nn.Module, weight: fx.Node, bias: fx.Node | None) -> str:
    """The layer's own path, or a new one where its tensors are shared with another layer."""
    path = str(weight.target).rpartition(".")[0] or str(weight.target).replace(".", "_")
    readers = max(len(weight.users), len(bias.users) if bias is not None else 0)
    if readers == 1 and str(weight.target) == f"{path}.weight":
        return path
    number = 2
    while _holds(module, f"{path}_{number}"):
        number += 1
    return f"{path}_{number}"


def _holds(module: nn.Module, path: str) -> bool:
    for name in path.split("."):
        if not hasattr(module, name):
            return False
        module = getattr(module, name)
    return True
