"""Half a cosine from the peak to a final factor.

    factor(p) = final + (1 - final) * (1 + cos(pi * p)) / 2,   p in [0, 1)

Loshchilov and Hutter 2017, SGDR, https://arxiv.org/abs/1608.03983 (one cycle, no restart).
"""

from __future__ import annotations

import math

from pydantic import Field

from edgekd.distill.schedule import Schedule


class Cosine(Schedule):
    """Cosine decay.

    Attributes:
        final: factor that the decay ends at.
    """

    final: float = Field(default=0.0, ge=0, le=1)

    def shape(self, progress: float) -> float:
        """The formula above."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2
