"""The contract of a distillation loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

from edgekd.distill.ramp import Temperature, Weight
from edgekd.family import Family, Method

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

Shape = tuple[int, ...]

# Label of a sample, or of a token, that counts for nothing: the convention of torch's cross_entropy.
IGNORED = -100


@dataclass(frozen=True)
class Shapes:
    """What a loss may size its learned parts by.

    Attributes:
        student: shape of each tapped student layer's output on a batch of two, by module name.
        teacher: the same of the teacher.
        classes: number of classes K.
        samples: number of samples N in the data set; `Outputs.samples` counts below it.
        visited: positions of those that the training visits; None: all.
        student_width: last dimension of the student's outputs: K, or D where they are embeddings.
        teacher_width: the same of the teacher.
        student_heads: heads of each of the student's attention layers, by module name (see `attention_layers.py`).
        teacher_heads: the same of the teacher.
    """

    student: Mapping[str, Shape]
    teacher: Mapping[str, Shape]
    classes: int = 0
    samples: int = 0
    student_width: int = 0
    teacher_width: int = 0
    student_heads: Mapping[str, int] = field(default_factory=dict[str, int])
    teacher_heads: Mapping[str, int] = field(default_factory=dict[str, int])
    visited: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Layers:
    """Names of all layers, in the order of `layers_of()`; what a layer map chooses from."""

    student: Sequence[str]
    teacher: Sequence[str]


@dataclass(frozen=True)
class Outputs:
    """What one batch brought forth.

    Where a network classifies tokens, its logits `(B, T, K)` and labels `(B, T)` arrive here with one row per real
    token, padding removed: B is then the number of tokens.

    Attributes:
        student: `(B, K)` float32 logits of the student.
        labels: `(B,)` int64 class indices; `IGNORED` where there is none.
        teacher: `(B, K)` float32 logits of the teacher; None when no loss asks for them.
        student_taps: output of each tapped student layer, by module name; float32, but see `Loss.takes_half`.
        teacher_taps: output of each tapped teacher layer, by module name.
        projector: what this loss's `build` returned.
        samples: `(B,)` int64 positions in the data set of the samples that the networks read; None outside a training.
        mask: `(B, T)` bool, true for the real tokens of a padded text batch; None for images.
        progress: share of the training's steps that are done, from 0 to just below 1.
    """

    student: Tensor
    labels: Tensor
    teacher: Tensor | None = None
    student_taps: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])
    teacher_taps: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])
    projector: nn.Module | None = None
    samples: Tensor | None = None
    mask: Tensor | None = None
    progress: float = 0.0


class Loss(Method):
    """One term of the total loss, `sum_i weight_i * loss_i`.

    Attributes:
        needs_teacher: the loss reads the teacher's logits.
        looks_inside: the loss compares inner layers of the teacher, so that the teacher runs in every step.
        compares_classes: the loss reads the logits as classes, so that embeddings cannot be its subject.
        learns_labels: the loss holds a cross-entropy with the labels.
        takes_half: the loss gets the layers' outputs in the precision in which the networks computed them, bfloat16 or
            float16 under autocast, for adapters to go on in; other losses get float32.
        weight: factor of this term, a number or a ramp over the training; weights are used as given and need not sum
            to 1.
    """

    needs_teacher: ClassVar[bool] = True
    looks_inside: ClassVar[bool] = False
    compares_classes: ClassVar[bool] = False
    learns_labels: ClassVar[bool] = False
    takes_half: ClassVar[bool] = False
    weight: Weight = 1.0

    def resolve(self, layers: Layers) -> Self:
        """This loss with every layer map spelled out as pairs of layers that exist; itself when it has none.

        Raises:
            ModelError: the map names no layer of these networks.
        """
        return self

    def taps(self) -> tuple[list[str], list[str]]:
        """Names of the student's and of the teacher's layers whose outputs the loss compares."""
        return [], []

    def compares_layers(self) -> bool:
        """Whether the loss compares inner layers of the teacher, so that the teacher runs in every step."""
        return self.looks_inside or bool(self.taps()[1])

    def softening(self) -> Temperature | None:
        """What divides the teacher's logits as they are; None where nothing does."""
        return getattr(self, "temperature", None) if self.compares_classes else None

    def build(self, shapes: Shapes) -> nn.Module | None:
        """A module that is trained with the student and dropped afterwards. Its buffers are part of every checkpoint.

        Raises:
            ModelError: the shapes cannot be compared.
        """
        return None

    def __call__(self, outputs: Outputs) -> Tensor:
        """The unweighted loss of a batch, a scalar."""
        raise NotImplementedError


LOSSES = Family("edgekd.distill.losses", Loss)
