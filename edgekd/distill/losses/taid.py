"""TAID, a target that moves adaptively from the student's answer to the teacher's: Shing et al. 2025.

With student logits s, teacher logits t and an interpolation a that starts at t_start:

    p_a = softmax((1 - a) * stop_gradient(s) + a * t),   q = softmax(s)
    loss = mean over the batch of  sum_k p_a,k * (log p_a,k - log q_k)

After every step n of N, with J_n = -mean sum_k p_a,k * log q_k (the first step only records J_1):

    d = (J_n-1 - J_n) / (J_n-1 + 1e-15)                    relative progress
    m = beta * m + (1 - beta) * d                          smoothed
    a = min(t_end, max(t_start + (t_end - t_start) * n / N,  a + alpha * sigmoid(m) * (1 - a)))

so that a never falls behind the straight line from t_start to t_end, and runs ahead of it while J sinks. a, m and J_n-1
are buffers of the module that `build` returns: a resumed training goes on with them. J is the loss with the entropy of
p_a left in, as in the authors' code (github.com/SakanaAI/TAID): the divergence itself is 0 where a is, which
makes its relative progress meaningless.

Shing, Misaki, Bao, Yokoi, Akiba 2025, https://arxiv.org/abs/2501.16937, algorithm 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from edgekd.distill.loss import Loss, Outputs, Shapes
from edgekd.distill.require import teacher_logits
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Taid(Loss):
    """KL divergence from a teacher that is interpolated with the student, adaptively in time.

    Attributes:
        t_start: share of the teacher at the first step.
        t_end: share of the teacher that is never exceeded.
        alpha: step size of the adaptive part; 0 leaves the straight line.
        beta: how much of the smoothed progress is kept per step.
    """

    compares_classes: ClassVar[bool] = True
    t_start: float = Field(default=0.4, ge=0, lt=1)
    t_end: float = Field(default=1.0, gt=0, le=1)
    alpha: float = Field(default=5e-4, ge=0, le=1)
    beta: float = Field(default=0.99, ge=0, lt=1)

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.t_end < self.t_start:
            raise ValueError(f"t_end ({self.t_end:g}) must not be below t_start ({self.t_start:g})")
        return self

    def build(self, shapes: Shapes) -> nn.Module:
        """The state: `share` a, `momentum` m and the `previous` J (negative: none yet)."""
        import torch
        from torch import nn

        state = nn.Module()
        for name, value in (("share", self.t_start), ("momentum", 0.0), ("previous", -1.0)):
            state.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        return state

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above; moves the share where gradients are recorded, as in a training step."""
        import torch
        from torch.nn.functional import kl_div, log_softmax

        teacher, state = teacher_logits(outputs, "taid"), outputs.projector
        if state is None:
            raise ModelError("the loss 'taid' needs its state: call build() first")
        share = state.get_buffer("share").to(outputs.student.dtype)
        target = log_softmax((1 - share) * outputs.student.detach() + share * teacher, dim=1)  # (B, K)
        student = log_softmax(outputs.student, dim=1)  # (B, K)
        loss = kl_div(student, target, reduction="batchmean", log_target=True)
        if torch.is_grad_enabled():
            self._advance(state, -(target.exp() * student.detach()).sum(1).mean().double(), outputs.progress)
        return loss

    def _advance(self, state: nn.Module, loss: Tensor, progress: float) -> None:
        """Algorithm 1; on the device, without reading a number back."""
        import torch

        share, momentum, previous = (state.get_buffer(name) for name in ("share", "momentum", "previous"))
        started = previous >= 0
        change = self.beta * momentum + (1 - self.beta) * (previous - loss) / (previous + 1e-15)
        moved = share + self.alpha * torch.sigmoid(change) * (1 - share)
        straight = self.t_start + (self.t_end - self.t_start) * progress
        moved = moved.clamp(min=straight).clamp(max=self.t_end)
        momentum.copy_(torch.where(started, change, momentum))
        share.copy_(torch.where(started, moved, share))
        previous.copy_(loss)
