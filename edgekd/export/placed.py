"""A model with the description's quantizers in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from edgekd.export.kernels import HEAVY


@dataclass(frozen=True)
class Placed:
    """What a placement made.

    Attributes:
        model: the `ModelProto`.
        counts: operator type to the number of operators that compute on quantized tensors.
        left: layer to the reason why an operator that the description makes an integer one is not.
    """

    model: Any
    counts: dict[str, int]
    left: dict[str, str]

    def floating(self) -> dict[str, int]:
        """Operators that multiply and stay in float, by type, as the file says."""
        every = Counter(str(node.op_type) for node in self.model.graph.node if node.op_type in HEAVY)
        rest = {kind: count - self.counts.get(kind, 0) for kind, count in every.items()}
        return {kind: count for kind, count in sorted(rest.items()) if count > 0}
