"""MiniLM (v2), relations between a layer's queries, keys and values: Wang et al. 2021.

Let X be the queries, keys or values of all attention heads of one layer side by side (B, T, H), split anew into A
relation heads of d = H / A:

    R_a = softmax(X_a X_a^T / sqrt(d))                                                         (B, A, T, T)
    loss = sum over X in {Q, K, V} of  1 / (A |x|) * sum_a sum_t KL(R_a,t of the teacher || R_a,t of the student)

for a sequence of |x| tokens, averaged over the batch. Padding is neither a key nor a query. Any A that divides both
widths will do, so that widths and numbers of attention heads may differ and nothing needs to be learned. The paper
takes the student's last layer, and of a large teacher an upper middle one.

Wang, Bao, Huang, Dong, Wei 2021, MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing Pretrained
Transformers, https://arxiv.org/abs/2012.15828, section 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from edgekd.distill.attention_layers import AttentionLayer, attention_layers
from edgekd.distill.loss import Layers, Loss, Outputs, Shapes
from edgekd.distill.require import projector
from edgekd.distill.vectors import pooled, same_length, without_padding
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class MiniLm(Loss):
    """Relations of queries, of keys and of values in one attention layer: Wang et al. 2021.

    Attributes:
        relation_heads: A; null takes the teacher's number of attention heads.
        student_layer: the student's attention layer, counted from 1; null takes the last.
        teacher_layer: the teacher's.
    """

    looks_inside: ClassVar[bool] = True
    relation_heads: int | None = Field(default=None, ge=1)
    student_layer: int | None = Field(default=None, ge=1)
    teacher_layer: int | None = Field(default=None, ge=1)
    _layers: list[AttentionLayer] = PrivateAttr(default_factory=list[AttentionLayer])

    def resolve(self, layers: Layers) -> Self:
        """With the two attention layers."""
        resolved = self.model_copy()
        resolved._layers = [
            _chosen(attention_layers(layers.student, "minilm", "student"), self.student_layer, "student"),
            _chosen(attention_layers(layers.teacher, "minilm", "teacher"), self.teacher_layer, "teacher"),
        ]
        return resolved

    def taps(self) -> tuple[list[str], list[str]]:
        """The projections of the two attention layers."""
        student, teacher = (list(layer.projections) for layer in self._layers) if self._layers else ([], [])
        return student, teacher

    def build(self, shapes: Shapes) -> nn.Module:
        """Nothing to learn; holds the number of relation heads."""
        from torch import nn

        left, right = self._layers
        (tokens_s, width_s), (tokens_t, width_t) = left.width(shapes.student), right.width(shapes.teacher)
        heads = self.relation_heads or shapes.teacher_heads.get(right.name, 0)
        same_length("minilm", (left.name, tokens_s), (right.name, tokens_t))
        if not heads or width_s % heads or width_t % heads:
            raise ModelError(
                "the number of relation heads must divide both widths",
                where="minilm.relation_heads",
                received=f"{heads} relation heads, student width {width_s}, teacher width {width_t}",
            )
        relations: Any = nn.Module()
        relations.heads = heads
        return relations

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import kl_div

        heads, mask, (left, right) = projector(outputs, "minilm").heads, outputs.mask, self._layers
        terms: list[Tensor] = []
        for student, teacher in zip(left.qkv(outputs.student_taps), right.qkv(outputs.teacher_taps), strict=True):
            target = _log_relations(teacher, heads, mask)
            found = kl_div(_log_relations(student, heads, mask), target, reduction="none", log_target=True).sum(3)
            terms.append(pooled(found.mT, mask).mean())  # (B, T, A): over real tokens, then heads and batch
        return sum(terms[1:], terms[0])


def _log_relations(x: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    from torch import finfo
    from torch.nn.functional import log_softmax

    split = without_padding(x, mask).reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # (B, A, T, d)
    split = split * split.shape[3] ** -0.25  # on both factors of the product: less to multiply than T^2
    scores = split @ split.mT  # (B, A, T, T)
    if mask is not None:
        scores += scores.new_zeros(()).masked_fill(~mask[:, None, None, :], finfo(scores.dtype).min)  # (B, 1, 1, T)
    return log_softmax(scores, dim=3)


def _chosen(layers: list[AttentionLayer], number: int | None, role: str) -> AttentionLayer:
    if number is not None and number > len(layers):
        raise ModelError(
            f"the {role} has no attention layer {number}",
            where=f"minilm.{role}_layer",
            received=number,
            accepted=", ".join(f"{index} ({layer.name})" for index, layer in enumerate(layers, 1)),
        )
    return layers[(number or len(layers)) - 1]
