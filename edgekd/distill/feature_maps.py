"""Features of inner layers in one shape: maps `(B, C, H, W)`, whatever the layer puts out.

    feature map      (B, C, H, W)    as it is
    flat features    (B, C)          B maps of 1x1
    tokens           (B, T, C)       one 1x1 map per real token

so that one formula, and one 1x1 convolution as the projector, serves all; padding is left out here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from edgekd.distill.loss import Outputs, Shape, Shapes
from edgekd.errors import ModelError

MAPS, FLAT, TOKENS = 4, 2, 3
HALVES = (torch.bfloat16, torch.float16)


def check_pairs(loss: str, compared: Mapping[str, str], shapes: Shapes, accepted: tuple[int, ...]) -> None:
    """Refuses layers whose outputs the loss cannot compare.

    Args:
        loss: the loss's name.
        compared: student's layer to teacher's.
        shapes: of their outputs.
        accepted: numbers of dimensions: some of MAPS, FLAT, TOKENS.

    Raises:
        ModelError: an output has another number of dimensions, or the two networks see other tokens.
    """
    forms = {MAPS: "feature maps (B, C, H, W)", FLAT: "flat features (B, C)", TOKENS: "tokens (B, T, C)"}
    for left, right in compared.items():
        student, teacher = shapes.student[left], shapes.teacher[right]
        if len(student) not in accepted or len(teacher) not in accepted or not _fit(student, teacher):
            raise ModelError(
                f"the loss '{loss}' cannot compare these layers",
                where=f"student '{left}', teacher '{right}'",
                received=f"{student} and {teacher}",
                accepted=" or ".join(forms[dimensions] for dimensions in accepted)
                + ("; tokens with tokens, equally many" if TOKENS in accepted else ""),
            )


def _fit(student: Shape, teacher: Shape) -> bool:
    tokens = [shape[1] if len(shape) == TOKENS else None for shape in (student, teacher)]
    return tokens[0] == tokens[1]


def channels(shape: Shape) -> int:
    """C of a layer's output."""
    return shape[-1] if len(shape) == TOKENS else shape[1]


def map_pairs(compared: Mapping[str, str], outputs: Outputs) -> list[tuple[Tensor, Tensor]]:
    """Student's and teacher's features of each pair, as maps."""
    mask = outputs.mask
    found = [(outputs.student_taps[left], outputs.teacher_taps[right]) for left, right in compared.items()]
    maps = [(as_map(student, mask), as_map(teacher, mask)) for student, teacher in found]
    return [(left, right if left.dtype in HALVES else right.to(left.dtype)) for left, right in maps]


def as_map(features: Tensor, mask: Tensor | None) -> Tensor:
    """`(B, C, H, W)` of a layer's output; of tokens only those that `mask` `(B, T)` calls real."""
    if features.ndim == MAPS:
        return features
    if features.ndim == TOKENS:
        features = features.flatten(0, 1) if mask is None else features[mask]  # (tokens, C)
    return features[:, :, None, None]


def pooled(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps in the smaller one's height and width: the larger is averaged down (adaptive average pooling)."""
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    left, right = (x if x.shape[2:] == size else adaptive_avg_pool2d(x, size) for x in (student, teacher))
    return left, right


def enlarged(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps in the larger one's height and width: the smaller is interpolated (bilinear)."""
    size = (max(student.shape[2], teacher.shape[2]), max(student.shape[3], teacher.shape[3]))
    left, right = (x if x.shape[2:] == size else interpolate(x, size, mode="bilinear") for x in (student, teacher))
    return left, right


def apply(module: nn.Module, features: Tensor) -> Tensor:
    """`module(features)`; batch normalisation takes its running statistics where one value has no variance."""
    return module.train(len(features) * features.shape[2] * features.shape[3] > 1)(features)


def precision_of(features: Tensor) -> AbstractContextManager[Any]:
    """A context in which an adapter computes as the network did that put out `features`: halves under autocast."""
    if features.dtype not in HALVES:
        return nullcontext()
    return torch.autocast(features.device.type, dtype=features.dtype)


def sum_of_squares(features: Tensor) -> Tensor:
    """Over all elements of `(B, C, H, W)`, as an inner product: fewer passes over memory than squares and a sum."""
    row = features.movedim(1, -1).flatten()  # as training lays maps out in memory: nothing is copied
    with torch.autocast(row.device.type, enabled=False):
        return row @ row


def mean_square(left: Tensor, right: Tensor) -> Tensor:
    """Mean over all elements of `(left - right)^2`, 0 of none; of halves, squares and their sum in float32."""
    return sum_of_squares(in_float32(left - right)) / max(1, left.numel())


def in_float32(features: Tensor) -> Tensor:
    """`features` in the precision of a comparison: halves become float32, float64 stays."""
    return features.float() if features.dtype in HALVES else features
