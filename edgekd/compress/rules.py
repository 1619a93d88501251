"""What a target imposes on quantization."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class QuantizationRules(BaseModel):
    """Limits that come from a board's integer arithmetic, not from the recipe.

    Attributes:
        weight_bits: 8, or 7 where two products are summed in 16 bits and would saturate (x86 without VNNI).
        activations: `asymmetric` (UINT8 with a zero point), or `symmetric` (INT8 with zero point 0, as TensorRT asks).
            Ranges are chosen for the grid they will be used with: a ReLU's output has 255 steps on the first and 127
            on the second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    weight_bits: Literal[7, 8] = 8
    activations: Literal["asymmetric", "symmetric"] = "asymmetric"
