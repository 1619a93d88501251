"""A constant rate that is multiplied by a factor at each milestone.

    factor(p) = factor ^ (number of milestones <= p),   p in [0, 1)

He et al. 2015 (https://arxiv.org/abs/1512.03385, section 4.2) divide by 10 after 1/2 and 3/4 of the training.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from edgekd.distill.schedule import Schedule


class Step(Schedule):
    """Step decay.

    Attributes:
        milestones: when the rate drops, as fractions of the training after the warm-up, increasing.
        gamma: what the rate is multiplied by at each milestone.
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = Field(default=0.1, gt=0, lt=1)

    @field_validator("milestones")
    @classmethod
    def _increasing_fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < item < 1 for item in value) or list(value) != sorted(set(value)):
            raise ValueError("milestones are increasing fractions of the training, between 0 and 1")
        return value

    def shape(self, progress: float) -> float:
        """The formula above."""
        return self.gamma ** sum(milestone <= progress for milestone in self.milestones)
