"""Contrastive representation distillation (CRD), against samples of a memory bank: Tian, Krishnan, Isola 2020.

With u_i = s_i W_s / ||.|| and v_i = t_i W_t / ||.|| the embeddings (D wide) of student and teacher for sample i, K
negatives per positive, a temperature tau and the normalisation z of noise-contrastive estimation:

    h(u, v) = e^(u.v / tau) / (e^(u.v / tau) + K z)
    loss_s  = mean over i of  -log h(u_i, bank_t[i])  -  K * mean over negatives k of  log(1 - h(u_i, bank_t[k]))
    loss    = loss_s + loss_t, where loss_t has the two networks exchanged

The banks hold a vector per sample of the data set: random ones at first; those of samples that the training visits are
renewed after each step, bank <- m * bank + (1 - m) * embedding, back to unit length. z is the mean of e^(u.v / tau)
over the first batch's negatives, then kept. A negative is another sample that the training visits, not known to be of
the same class.

As in the authors' code (github.com/HobbitLong/RepDistiller), but that the K negatives are drawn once per batch and not
per sample: the same expectation for 4 K D bytes and not 4 B K D (1 GB at B = 128).

Memory: N (8 D + 8) bytes for N samples, also in every checkpoint: 1032 bytes per sample at D = 128, 52 MB for 50000.
A step adds 8 K D + 16 B K bytes or so: 50 MB at K = 16384 and B = 128.

Tian, Krishnan, Isola 2020, Contrastive Representation Distillation, https://arxiv.org/abs/1910.10699, section 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from edgekd.distill.loss import IGNORED, Loss, Outputs, Shapes
from edgekd.distill.ramp import Weight
from edgekd.distill.require import projector
from edgekd.distill.vectors import feature_pair, feature_widths, unit
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

# In the place of a label: the sample has not been seen yet.
UNSEEN = -1


class Crd(Loss):
    """Student and teacher agree on a sample and differ on others: Tian, Krishnan, Isola 2020.

    Two memory banks take N * (8 * width + 8) bytes for the N samples of the data set, also in every checkpoint.

    Attributes:
        student: the student's layer, pooled to `(B, D_s)`; the paper's is the last before the logits. null takes the
            logits.
        teacher: the teacher's layer.
        width: of the embeddings.
        negatives: K; all samples serve where they are fewer.
        temperature: tau.
        momentum: share of the old value when the bank is renewed.
    """

    weight: Weight = 0.8
    student: str | None = None
    teacher: str | None = None
    width: int = Field(default=128, ge=1)
    negatives: int = Field(default=16384, ge=1)
    temperature: float = Field(default=0.07, gt=0)
    momentum: float = Field(default=0.5, ge=0, lt=1)

    def memory_bytes(self, samples: int) -> int:
        """What the banks take for a data set of so many samples."""
        return samples * (2 * 4 * self.width + 8)

    def taps(self) -> tuple[list[str], list[str]]:
        """The named layers."""
        return [self.student] if self.student else [], [self.teacher] if self.teacher else []

    def build(self, shapes: Shapes) -> nn.Module:
        """The embeddings W_s and W_t, and the banks."""
        import torch
        from torch import nn

        if not shapes.samples:
            raise ModelError("the loss 'crd' needs a data set of known size", received=shapes.samples)
        memory = nn.Module()
        widths = feature_widths(shapes, "crd", self.student, self.teacher)
        for name, width in zip(("student", "teacher"), widths, strict=True):
            setattr(memory, name, nn.Linear(width, self.width))
            reach = (3 / self.width) ** 0.5  # of unit length on average
            memory.register_buffer(f"{name}_bank", torch.empty(shapes.samples, self.width).uniform_(-reach, reach))
            memory.register_buffer(f"{name}_log_z", torch.tensor(float("nan")))
        memory.register_buffer("labels", torch.full((shapes.samples,), UNSEEN))
        visited = range(shapes.samples) if shapes.visited is None else shapes.visited
        memory.register_buffer("visited", torch.as_tensor(visited, dtype=torch.int64), persistent=False)
        return memory

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above; renews the banks."""
        memory, samples, labels = projector(outputs, "crd"), outputs.samples, outputs.labels
        student, teacher = feature_pair(outputs, "crd", self.student, self.teacher)
        if samples is None or not len(samples) == len(labels) == len(student):
            raise ModelError(
                "the loss 'crd' contrasts whole samples of a data set",
                received=f"{len(student)} rows of {'no' if samples is None else len(samples)} samples",
                accepted="a classification of samples, not of tokens",
            )
        u, v = unit(memory.student(student)), unit(memory.teacher(teacher))  # (B, D)
        rows = self._rows(memory.visited)  # (K,)
        same_class = (memory.labels[rows] == labels[:, None]) & (labels[:, None] != IGNORED)
        negative = (rows != samples[:, None]) & ~same_class  # (B, K)
        total = u.sum() * 0
        for anchor, name, other in ((u, "student", "teacher"), (v, "teacher", "student")):
            bank = memory.get_buffer(f"{other}_bank")
            positive = (anchor * bank[samples]).sum(1) / self.temperature  # (B,)
            scores = anchor @ bank[rows].T / self.temperature  # (B, K)
            total = total + self._contrast(positive, scores, negative, memory.get_buffer(f"{name}_log_z"))
        for bank, new in ((memory.student_bank, u), (memory.teacher_bank, v)):
            bank[samples] = unit(self.momentum * bank[samples] + (1 - self.momentum) * new.detach())
        memory.labels[samples] = labels
        return total

    def _rows(self, visited: Tensor) -> Tensor:
        import torch

        if len(visited) <= self.negatives:
            return visited
        return visited[torch.randint(len(visited), (self.negatives,), device=visited.device)]

    def _contrast(self, positive: Tensor, scores: Tensor, negative: Tensor, log_z: Tensor) -> Tensor:
        from math import log

        from torch.nn.functional import logsigmoid

        if bool(log_z.isnan()) and bool(negative.any()):
            found = scores.detach()[negative]
            log_z.copy_(found.logsumexp(0) - log(len(found)))
        shift = log(self.negatives) + log_z.nan_to_num(0)  # log K z
        # h = sigmoid(u.v / tau - log K z), and 1 - h the sigmoid of the opposite.
        apart = logsigmoid(shift - scores).masked_fill(~negative, 0).sum(1) / negative.sum(1).clamp_min(1)  # (B,)
        return -(logsigmoid(positive - shift) + self.negatives * apart).mean()
