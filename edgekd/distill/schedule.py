"""The contract of a learning-rate schedule."""

from __future__ import annotations

from pydantic import Field

from edgekd.family import Family, Method


class Schedule(Method):
    """The learning rate of every optimisation step, as a factor of the optimiser's `lr`.

    The first `warmup_steps` steps rise linearly from `1 / (warmup_steps + 1)` to just below 1 (Goyal et al. 2017,
    https://arxiv.org/abs/1706.02677, section 2.2); the schedule itself runs over the steps that are left.

    Attributes:
        warmup_steps: optimisation steps before the peak.
    """

    warmup_steps: int = Field(default=0, ge=0)

    def factor(self, step: int, total_steps: int) -> float:
        """Factor for optimisation step `step`, counted from 0 and below `total_steps`."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return self.shape((step - self.warmup_steps) / max(1, total_steps - self.warmup_steps))

    def shape(self, progress: float) -> float:
        """Factor after the warm-up; `progress` goes from 0 to just below 1."""
        raise NotImplementedError


SCHEDULES = Family("edgekd.distill.schedules", Schedule)
