"""TinyBERT, the student's attention scores, hidden states and embeddings become the teacher's: Jiao et al. 2020.

With the unnormalised attention scores A = Q K^T / sqrt(d_head) (B, h, T, T), the blocks' outputs H (B, T, D), the
outputs E of the embeddings, and learned matrices W_h, W_e where the widths differ (the identity otherwise):

    loss = sum over the mapped blocks of  attention * mean of (A_s - A_t)^2  +  hidden * mean of (H_s W_h - H_t)^2
         + embeddings * mean of (E_s W_e - E_t)^2

The means run over heads, real tokens (pairs of them in A) and widths; padding counts for nothing. Where the numbers of
heads differ, the scores are averaged over the heads first. Queries and keys are tapped at their projections, since fast
attention kernels never put scores out. The paper's layer map is uniform; its prediction-layer loss is `kl` beside it.

Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding, https://arxiv.org/abs/1909.10351,
section 3.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from edgekd.distill.attention_layers import AttentionLayer, attention_layer_of, embeddings_layer
from edgekd.distill.layer_maps import LayerMap, PairLoss, Rule
from edgekd.distill.loss import Layers, Outputs, Shapes
from edgekd.distill.require import projector
from edgekd.distill.vectors import projection, same_length, token_widths, without_padding
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class TinyBert(PairLoss):
    """Attention scores, hidden states and embeddings of transformers: Jiao et al. 2020.

    Attributes:
        pairs: which student block learns from which teacher block.
        attention: factor of the attention scores' term.
        hidden: factor of the hidden states' term.
        embeddings: factor of the embeddings' term.
    """

    pairs: LayerMap = Rule(rule="uniform")
    attention: float = Field(default=1.0, ge=0)
    hidden: float = Field(default=1.0, ge=0)
    embeddings: float = Field(default=1.0, ge=0)
    _blocks: list[tuple[str, str]] = PrivateAttr(default_factory=list[tuple[str, str]])
    _attention: list[tuple[AttentionLayer, AttentionLayer]] = PrivateAttr(
        default_factory=list[tuple[AttentionLayer, AttentionLayer]]
    )
    _embeddings: list[tuple[str, str]] = PrivateAttr(default_factory=list[tuple[str, str]])

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.attention + self.hidden + self.embeddings:
            raise ValueError("attention, hidden and embeddings are all 0: there is nothing to compare")
        return self

    def resolve(self, layers: Layers) -> Self:
        """With the pairs of blocks, of attention layers and of embeddings that its factors ask for."""
        resolved = super().resolve(layers)
        found = list(resolved.compared().items())
        resolved._blocks = found if self.hidden else []
        if self.attention:
            resolved._attention = [
                (
                    attention_layer_of(left, layers.student, "tinybert", "student"),
                    attention_layer_of(right, layers.teacher, "tinybert", "teacher"),
                )
                for left, right in found
            ]
        if self.embeddings:
            left, right = embeddings_layer(layers.student), embeddings_layer(layers.teacher)
            if left is None or right is None:
                raise ModelError(
                    f"the loss 'tinybert' finds no embeddings in the {'student' if left is None else 'teacher'}",
                    accepted="a module called 'embeddings' or 'pos_drop'",
                    hint="set tinybert.embeddings to 0",
                )
            resolved._embeddings = [(left, right)]
        return resolved

    def taps(self) -> tuple[list[str], list[str]]:
        """The blocks, the projections of their attention layers, and the embeddings."""
        sides: tuple[list[str], list[str]] = ([], [])
        for side, names in enumerate(sides):
            names += [pair[side] for pair in self._blocks + self._embeddings]
            names += [name for pair in self._attention for name in pair[side].projections]
        return sides

    def build(self, shapes: Shapes) -> nn.Module:
        """The matrices W_h and W_e, and how many heads each attention layer has."""
        from torch import nn

        fit: Any = nn.Module()
        for name, layers in (("hidden", self._blocks), ("embeddings", self._embeddings)):
            if layers:
                setattr(fit, name, projection(*token_widths(shapes, "tinybert", layers)))
            for left, right in layers:
                same_length("tinybert", (left, shapes.student[left][1]), (right, shapes.teacher[right][1]))
        fit.heads = [
            (_heads(left, shapes.student, shapes.student_heads), _heads(right, shapes.teacher, shapes.teacher_heads))
            for left, right in self._attention
        ]
        for left, right in self._attention:
            lengths = left.width(shapes.student)[0], right.width(shapes.teacher)[0]
            same_length("tinybert", (left.name, lengths[0]), (right.name, lengths[1]))
        return fit

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        fit, mask = projector(outputs, "tinybert"), outputs.mask
        terms: list[Tensor] = []
        for (left, right), (h_s, h_t) in zip(self._attention, fit.heads, strict=True):
            student = _scores(left.qkv(outputs.student_taps), mask, h_s, averaged=h_s != h_t)
            teacher = _scores(right.qkv(outputs.teacher_taps), mask, h_t, averaged=h_s != h_t)
            real = None if mask is None else mask.sum(1).pow(2).sum() * student.shape[1]
            terms.append(self.attention * _mean_square(student - teacher, real))
        for name, factor, layers in (
            ("hidden", self.hidden, self._blocks),
            ("embeddings", self.embeddings, self._embeddings),
        ):
            for left, right in layers:
                student, teacher = outputs.student_taps[left], outputs.teacher_taps[right]
                student = getattr(fit, name)(without_padding(student, mask))  # zeros stay zeros
                real = None if mask is None else mask.sum() * student.shape[2]
                terms.append(factor * _mean_square(student - without_padding(teacher, mask), real))
        return sum(terms[1:], terms[0])


def _scores(qkv: tuple[Tensor, ...], mask: Tensor | None, heads: int, *, averaged: bool) -> Tensor:
    """`(B, h, T, T)` attention scores, or their mean over the heads `(B, 1, T, T)`; zeros at the padding."""
    query, key = (without_padding(part, mask) for part in qkv[:2])  # (B, T, H)
    batch, tokens, width = query.shape
    kept = 1 if averaged else heads  # the sum over all heads is one product over the whole width
    query = query * ((width / heads) ** -0.5 * kept / heads)
    query, key = (part.reshape(batch, tokens, kept, -1).transpose(1, 2) for part in (query, key))  # (B, h, T, d)
    return query @ key.mT


def _mean_square(error: Tensor, real: Tensor | None) -> Tensor:
    squares = error.pow(2)
    return squares.mean() if real is None else squares.sum() / real.clamp_min(1)


def _heads(layer: AttentionLayer, shapes: Any, counts: Any) -> int:
    heads, (_, width) = counts.get(layer.name, 0), layer.width(shapes)
    if not heads or width % heads:
        raise ModelError(
            "the number of attention heads is unknown or does not divide the width",
            where=layer.name,
            received=f"{heads} heads, width {width}",
            accepted="num_attention_heads, num_heads or n_heads on the layer, or on a module around it",
        )
    return heads
