"""Narrowing a network physically: fewer channels, neurons and heads, no masks.

`narrowed` selects the kept units in every tensor; `shrink_to` gives the modules of a freshly built full-size network
the shapes of a checkpoint. Nothing else is stored of a pruned network: its tensors say what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from edgekd.models.attention import OpenAttention, opened
from edgekd.models.axes import Atom
from edgekd.models.importance import unfolded
from edgekd.models.modules import named_modules
from edgekd.models.widths import Widths

# The attributes that count an attention's heads: timm and torchvision, BERT and its kin, DistilBERT.
HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads")
HEAD_TOTALS = ("attn_dim", "all_head_size")


def narrowed(tensors: Mapping[str, Tensor], found: Widths, kept: Mapping[Atom, Tensor]) -> dict[str, Tensor]:
    """The tensors with only the kept units of each atom; atoms that are not named keep all of theirs."""
    result = dict(tensors)
    for name, dims in found.tensors.items():
        for dim, factors in enumerate(dims):
            if not any(atom in kept for atom in factors):
                continue
            rows = torch.zeros(1, dtype=torch.int64)
            for atom in factors:  # row-major: the outer atom's units are strides of the inner ones
                units = kept.get(atom, torch.arange(atom.size))
                rows = (rows[:, None] * atom.size + units).flatten()
            result[name] = result[name].index_select(dim, rows)
    return result


def masked(tensors: Mapping[str, Tensor], found: Widths, kept: Mapping[Atom, Tensor]) -> dict[str, Tensor]:
    """The tensors at full size, with zeros where a weight reads a unit that is not kept: what `narrowed` must equal."""
    result = dict(tensors)
    for atom, units in kept.items():
        for axis in found.read[atom]:
            value = unfolded(result[axis.tensor], found.tensors[axis.tensor])
            mask = torch.zeros(atom.size, dtype=value.dtype).index_fill(0, units, 1)
            shape = [atom.size if place == axis.place else 1 for place in range(value.ndim)]
            result[axis.tensor] = (value * mask.view(shape)).reshape(tensors[axis.tensor].shape)
    return result


def shrink_to(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Gives the model's modules, in place, the shapes of the tensors; values are left to `load_into`."""
    heads: dict[str, tuple[int, int]] = {}
    for name, module in named_modules(model):
        own = dict([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])
        wanted = {key: tensors.get(f"{name}.{key}" if name else key) for key in own}
        changed = {key: new.shape for key, new in wanted.items() if new is not None and new.shape != own[key].shape}
        for key, shape in changed.items():
            empty = torch.zeros(shape, dtype=own[key].dtype, device=own[key].device)
            setattr(module, key, nn.Parameter(empty) if isinstance(own[key], nn.Parameter) else empty)
        if changed:
            opened(module)
            before = next(iter(own.values())).shape[0]
            _describe(module, before)
            after = next(module.parameters()).shape[0]
            if isinstance(module, nn.Linear | OpenAttention) and after != before:
                heads[name if isinstance(module, OpenAttention) else name.rpartition(".")[0]] = (after, before)
    for name, (after, before) in heads.items():
        attention = cast(Any, model.get_submodule(name))
        if any(isinstance(getattr(attention, key, None), int) for key in HEAD_COUNTS):
            for key in (*HEAD_COUNTS, *HEAD_TOTALS):
                if isinstance(getattr(attention, key, None), int):
                    setattr(attention, key, getattr(attention, key) * after // before)


def _describe(module: nn.Module, before: int) -> None:
    """The attributes that repeat the weight's shape; convolutions compute with `groups`, norms with their shape."""
    shape = next(module.parameters()).shape
    named = cast(Any, module)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        if module.groups > 1:  # depthwise, the only grouped convolution that is narrowed
            module.groups = module.groups * shape[0] // before
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(shape)
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = shape
    elif hasattr(module, "num_features"):
        named.num_features = shape[0]
