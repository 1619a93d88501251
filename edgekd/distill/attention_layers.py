"""The attention layers of a network: found by the names of their projections, in order of execution.

The one rule: an attention layer is a module that holds three projections called `query, key, value` (BERT, RoBERTa,
ELECTRA, ALBERT, ViT of transformers), `q_lin, k_lin, v_lin` (DistilBERT), `query_proj, key_proj, value_proj` (DeBERTa),
`q_proj, k_proj, v_proj` or `q, k, v` (MPNet), or one fused projection called `qkv` (timm), `Wqkv` (ModernBERT) or
`in_proj` (`nn.MultiheadAttention`, as in torchvision), whose output (B, T, 3 H) is the queries, keys and values side by
side. It belongs to every module around it: to the block `bert.encoder.layer.0` as to `bert.encoder`.

The number of heads is the attribute `num_attention_heads`, `num_heads` or `n_heads` of the layer, or of the nearest
module around it, or of that module's `config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

# The projection of an `nn.MultiheadAttention`, which is no module of its own; see `taps.py`.
PACKED = "in_proj"
PROJECTIONS = (
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("query_proj", "key_proj", "value_proj"),
    ("q_proj", "k_proj", "v_proj"),
    ("q", "k", "v"),
    ("qkv",),
    ("Wqkv",),
    (PACKED,),
)
HEADS = ("num_attention_heads", "num_heads", "n_heads")
# The module whose output is what the first block reads: of transformers, of timm.
EMBEDDINGS = ("embeddings", "pos_drop")


@dataclass(frozen=True)
class AttentionLayer:
    """One attention layer.

    Attributes:
        name: the module that holds the projections.
        projections: names of the query, key and value projections, or of the fused one.
    """

    name: str
    projections: tuple[str, ...]

    def qkv(self, taps: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Queries, keys and values, each `(B, T, H)` with all heads side by side, from the tapped projections."""
        found = [taps[name] for name in self.projections]
        return tuple(found) if len(found) == 3 else found[0].chunk(3, dim=-1)

    def width(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
        """`(T, H)` of its queries.

        Raises:
            ModelError: they are no token sequence, or keys and values have another width.
        """
        found = {shapes[name] for name in self.projections}
        shape = next(iter(found))
        if len(found) > 1 or len(shape) != 3:
            raise ModelError(
                "the attention layer cannot be compared",
                where=self.name,
                received=", ".join(f"{name} {shapes[name]}" for name in self.projections),
                accepted="queries, keys and values of one shape (B, T, H)",
            )
        return shape[1], shape[2] * len(self.projections) // 3


def attention_layers(names: Sequence[str], loss: str, role: str) -> list[AttentionLayer]:
    """The attention layers among these module names, in their order.

    Args:
        names: as in `layers_of()`.
        loss: the loss that asks, for the message.
        role: `"student"` or `"teacher"`, for the message.

    Raises:
        ModelError: there is none.
    """
    found = _found(names)
    if not found:
        raise ModelError(
            f"the loss '{loss}' compares attention layers, of which the {role} has none that can be seen",
            accepted=f"modules called {'; '.join(', '.join(kind) for kind in PROJECTIONS)}",
        )
    return found


def attention_layer_of(block: str, names: Sequence[str], loss: str, role: str) -> AttentionLayer:
    """The (last) attention layer in a block, or the attention layer of this name.

    Raises:
        ModelError: there is none.
    """
    layers = attention_layers(names, loss, role)
    inside = [layer for layer in layers if f"{layer.name}.".startswith(f"{block}.")]
    if not inside:
        raise ModelError(
            f"the {role}'s layer '{block}' holds no attention layer, which the loss '{loss}' compares",
            accepted="one of, or a module around one of: " + ", ".join(layer.name for layer in layers),
        )
    return inside[-1]


def embeddings_layer(names: Sequence[str]) -> str | None:
    """Name of the module whose output enters the first block; None when none has the name of one."""
    return next((name for name in names if name.rpartition(".")[2] in EMBEDDINGS), None)


def head_counts(model: nn.Module) -> dict[str, int]:
    """Number of heads of each attention layer, by its name; 0 where no module tells it."""
    from edgekd.distill.taps import layers_of

    modules = {"": model, **layers_of(model)}
    return {layer.name: _heads(modules, layer.name) for layer in _found(list(modules))}


def _found(names: Sequence[str]) -> list[AttentionLayer]:
    children: dict[str, set[str]] = {}  # in the order of the parents
    for name in names:
        children.setdefault(name, set())
        parent, _, leaf = name.rpartition(".")
        children.setdefault(parent, set()).add(leaf)
    layers: list[AttentionLayer] = []
    for name, leaves in children.items():
        kind = next((kind for kind in PROJECTIONS if leaves.issuperset(kind)), None)
        if kind is not None:
            prefix = f"{name}." if name else ""
            layers.append(AttentionLayer(name, tuple(prefix + leaf for leaf in kind)))
    return layers


def _heads(modules: Mapping[str, nn.Module], name: str) -> int:
    while True:
        for holder in (modules[name], getattr(modules[name], "config", None)):
            for attribute in HEADS:
                if isinstance(value := getattr(holder, attribute, None), int):
                    return value
        if not name:
            return 0
        name = name.rpartition(".")[0]
