"""Vectors: a layer's output as one vector per sample `(B, D)` or per token `(B, T, D)`, padding left out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, cast

from edgekd.distill.loss import Outputs, Shape, Shapes
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

OUTPUTS = "outputs"
"""In the place of a layer's name: what the network itself puts out."""


def pooled(features: Tensor, mask: Tensor | None) -> Tensor:
    """`(B, D)`: a map `(B, D, H, W)` averaged over its pixels, tokens `(B, T, D)` averaged over the real ones."""
    if features.ndim == 4:
        return features.mean((2, 3))
    if features.ndim == 3 and mask is not None:
        return without_padding(features, mask).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
    return features.mean(1) if features.ndim == 3 else features


def without_padding(features: Tensor, mask: Tensor | None) -> Tensor:
    """`(B, T, D)` with zeros at the padded tokens."""
    return features if mask is None else features.masked_fill(~mask[:, :, None], 0)


def unit(features: Tensor) -> Tensor:
    """Divided by the Euclidean length along the last dimension; a zero vector stays zero and gets no gradient."""
    length = cast("Tensor", cast(Any, features).norm(dim=-1, keepdim=True))  # its gradient at zero is zero
    return features / length.masked_fill(length == 0, float("inf"))


def feature_pair(outputs: Outputs, loss: str, student: str | None, teacher: str | None) -> tuple[Tensor, Tensor]:
    """`(B, D_s)` and `(B, D_t)`: the pooled layers of these names; a network's own outputs where the name is None.

    Raises:
        ModelError: the teacher's outputs are asked for and not there, or the two sides count differently many samples.
    """
    left = outputs.student if student is None else pooled(outputs.student_taps[student], outputs.mask)
    right = outputs.teacher if teacher is None else pooled(outputs.teacher_taps[teacher], outputs.mask)
    if right is None:
        raise ModelError(f"the loss '{loss}' needs the teacher's outputs", hint="give the recipe a teacher section")
    if len(left) != len(right):
        raise ModelError(
            f"the loss '{loss}' compares the same samples of both networks",
            received=f"student {tuple(left.shape)}, teacher {tuple(right.shape)}",
            hint="name a layer of both networks, or of neither",
        )
    return left, right.to(left.dtype)


def feature_widths(shapes: Shapes, loss: str, student: str | None, teacher: str | None) -> tuple[int, int]:
    """`D_s` and `D_t` of `feature_pair`.

    Raises:
        ModelError: a layer puts out neither a map, nor tokens, nor flat features.
    """
    left = shapes.student_width if student is None else _width(shapes.student[student], loss, student)
    right = shapes.teacher_width if teacher is None else _width(shapes.teacher[teacher], loss, teacher)
    return left, right


def token_widths(shapes: Shapes, loss: str, layers: Collection[tuple[str, str]]) -> tuple[int, int]:
    """`D_s` and `D_t` of pairs of layers that put out tokens `(B, T, D)`.

    Raises:
        ModelError: a layer does not put out tokens, or not all pairs have the same widths.
    """
    found = [(shapes.student[left], shapes.teacher[right]) for left, right in layers]
    for (left, right), (student, teacher) in zip(layers, found, strict=True):
        if len(student) != 3 or len(teacher) != 3:
            raise ModelError(
                f"the loss '{loss}' compares tokens (B, T, D)",
                where=f"student '{left}', teacher '{right}'",
                received=f"{student} and {teacher}",
            )
    widths = sorted({(student[2], teacher[2]) for student, teacher in found})
    if len(widths) != 1:
        raise ModelError(f"the loss '{loss}' compares blocks of one width", received=widths)
    return widths[0]


def same_length(loss: str, student: tuple[str, int], teacher: tuple[str, int]) -> None:
    """Refuses two layers, given with their numbers of tokens, that cannot be compared token by token.

    Raises:
        ModelError: the numbers differ.
    """
    if student[1] != teacher[1]:
        raise ModelError(
            f"the loss '{loss}' compares token by token",
            where=f"student '{student[0]}', teacher '{teacher[0]}'",
            received=f"{student[1]} and {teacher[1]} tokens",
            accepted="networks that split their input alike",
        )


def projection(student: int, teacher: int) -> nn.Module:
    """A learned matrix `D_s -> D_t` where the widths differ, else the identity."""
    from torch import nn

    return nn.Identity() if student == teacher else nn.Linear(student, teacher, bias=False)


def _width(shape: Shape, loss: str, layer: str) -> int:
    if len(shape) not in (2, 3, 4):
        raise ModelError(
            f"the loss '{loss}' compares feature maps (B, C, H, W), tokens (B, T, D) or flat features (B, D)",
            where=layer,
            received=shape,
        )
    return shape[1] if len(shape) == 4 else shape[-1]
