"""Relational knowledge distillation (RKD), by distances and angles between samples: Park et al. 2019.

With the student's vectors s_i and the teacher's t_i of a batch of B samples and the Huber loss l (l(x, y) is
1/2 (x - y)^2 where |x - y| <= 1, else |x - y| - 1/2):

    d(x_i, x_j) = ||x_i - x_j|| / mu,             mu the mean of ||x_i - x_j|| over the pairs of the batch
    a(x_i, x_j, x_k) = <e_ij, e_kj>,              e_ij = (x_i - x_j) / ||x_i - x_j||
    loss = distance * mean over pairs of    l(d(t_i, t_j), d(s_i, s_j))
         + angle    * mean over triples of  l(a(t_i, t_j, t_k), a(s_i, s_j, s_k))

over distinct samples, where the paper sums. Neither term knows the vectors' width, so that it may differ. The weights
25 and 50, and the last block's pooled features as vectors, are those that comparisons on CIFAR-100 use
(github.com/HobbitLong/RepDistiller); their means run over the B^2 and B^3 tuples with repetitions too, which add
nothing to the sum. A batch has B^3 angles: 8 MB of float32 at B = 128.

Park, Kim, Lu, Cho 2019, Relational Knowledge Distillation, https://arxiv.org/abs/1904.05068, section 3.2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from edgekd.distill.layer_maps import last_blocks
from edgekd.distill.loss import Layers, Loss, Outputs, Shapes
from edgekd.distill.vectors import OUTPUTS, feature_pair, feature_widths, unit
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

# 0.5 GB per (B, B, B) float32 tensor, of which the backward pass holds a few.
LARGEST_BATCH = 512


class Rkd(Loss):
    """Distances and angles between the samples of a batch: Park, Kim, Lu, Cho 2019.

    Attributes:
        distance: factor of the distance-wise term.
        angle: factor of the angle-wise term; 0 leaves it, and its B^3 memory, out.
        student: the student's layer to compare, pooled to `(B, D)`; null takes its last block, `outputs` its outputs.
        teacher: the teacher's layer.
    """

    distance: float = Field(default=25.0, ge=0)
    angle: float = Field(default=50.0, ge=0)
    student: str | None = None
    teacher: str | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.distance + self.angle:
            raise ValueError("distance and angle are both 0: there is nothing to compare")
        return self

    def resolve(self, layers: Layers) -> Self:
        """With the last blocks where the recipe names no layer."""
        if self.student is not None and self.teacher is not None:
            return self
        student, teacher = last_blocks(layers)
        return self.model_copy(update={"student": self.student or student, "teacher": self.teacher or teacher})

    def compares_layers(self) -> bool:
        """Unless it compares the teacher's outputs."""
        return self.teacher != OUTPUTS

    def taps(self) -> tuple[list[str], list[str]]:
        """The layers of both networks."""
        student, teacher = ([] if name in (None, OUTPUTS) else [name] for name in (self.student, self.teacher))
        return student, teacher

    def _layers(self) -> tuple[str | None, str | None]:
        """As `feature_pair` takes them: None for the outputs."""
        student, teacher = (None if name == OUTPUTS else name for name in (self.student, self.teacher))
        return student, teacher

    def build(self, shapes: Shapes) -> None:
        """Nothing to learn; checks that the layers can be pooled."""
        feature_widths(shapes, "rkd", *self._layers())

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import smooth_l1_loss

        student, teacher = feature_pair(outputs, "rkd", *self._layers())  # (B, D_s), (B, D_t)
        batch = len(student)
        if self.angle and batch > LARGEST_BATCH:
            raise ModelError(
                "the loss 'rkd' compares the angles of every three samples of a batch",
                received=f"{batch} rows, which make {batch**3:.2g} angles",
                accepted=f"up to {LARGEST_BATCH} rows",
                hint="lower train.batch_size, set rkd.angle to 0, or name a layer that has one vector per sample",
            )
        total = student.sum() * 0  # of a batch too small for a pair
        if self.distance and batch > 1:
            total = total + self.distance * smooth_l1_loss(_distances(student), _distances(teacher))
        if self.angle and batch > 2:
            triples = batch * (batch - 1) * (batch - 2)
            angles = smooth_l1_loss(_angles(student), _angles(teacher), reduction="sum") / triples
            total = total + self.angle * angles
        return total


def _distances(x: Tensor) -> Tensor:
    from torch.nn.functional import pdist

    found = pdist(x)  # (B (B - 1) / 2,)
    mean = found.mean()
    return found / mean.masked_fill(mean == 0, 1)


def _angles(x: Tensor) -> Tensor:
    edges = unit(x[None] - x[:, None])  # (B, B, D): e_ij at [j, i]
    return edges @ edges.mT  # (B, B, B): 0 where two of the three are the same sample but i = k, where it is 1
