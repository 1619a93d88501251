"""Folds batch normalisation into the convolution or linear layer before it.

In inference it is affine per output channel c, and so is the layer before it:

    y_c = gamma_c * (w_c . x + b_c - mean_c) / sqrt(var_c + eps) + beta_c
        = (s_c w_c) . x + (b_c - mean_c) s_c + beta_c          with  s_c = gamma_c / sqrt(var_c + eps)

so `w_c <- s_c w_c` and `b_c <- (b_c - mean_c) s_c + beta_c` give the same function with one layer (Jacob et al. 2018,
section 3.2). The arithmetic is in float64 and rounded once to the weights' type.
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


def fold_norms(module: fx.GraphModule) -> None:
    """Folds every normalisation of a captured graph that can be; the others stay as they are."""
    graph = module.graph
    for norm_node in list(graph.nodes):
        layer: Any = norm_node.args[0] if _is_constant_norm(norm_node) else None
        if not _can_fold(layer):
            continue
        weight, bias = layer_arguments(layer)
        folded = fold_norm(cast(Tensor, _read(module, weight)), _read(module, bias), _read_norm(module, norm_node))
        path = _own_path(module, weight, bias)
        for name, tensor in zip(("weight", "bias"), folded, strict=True):
            _assign(module, f"{path}.{name}", tensor)
        with graph.inserting_before(layer):
            tensors = [graph.get_attr(f"{path}.weight"), graph.get_attr(f"{path}.bias")]
        layer.args = (layer.args[0], *tensors, *layer.args[3:])
        layer.kwargs = {key: value for key, value in layer.kwargs.items() if key not in ("weight", "bias")}
        norm_node.replace_all_uses_with(layer)
        graph.erase_node(norm_node)


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


def _can_fold(layer: object) -> bool:
    """The normalised value is the output of a foldable layer that nothing else reads, with constant weights."""
    if not isinstance(layer, fx.Node) or layer.op != "call_function" or layer.target not in FOLDABLE:
        return False
    if len(layer.users) != 1:
        return False
    weight, bias = layer_arguments(layer)
    if weight.op != "get_attr" or (bias is not None and bias.op != "get_attr"):
        return False
    # Normalisation is over axis 1; a linear layer's channels are its last axis.
    return layer.target is not aten.linear.default or bool(layer.meta["val"].ndim == 2)


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
