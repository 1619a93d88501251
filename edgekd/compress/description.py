"""The quantization description: which tensors are integers, in what range, and what stays in float and why.

It is written once, by a compressor, against the folded float program, and drives every format. Placing the
quantizers so that a runtime fuses them is the format's job.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TensorRange(BaseModel):
    """Range of one activation tensor.

    A tensor that only moves another's values (a view, a slice, max pooling) has that one's four bounds.

    Attributes:
        low: lower clipping bound, <= 0.
        high: upper clipping bound, >= 0.
        minimum: smallest value seen in calibration.
        maximum: largest value seen in calibration.
        fingerprint: what identifies the tensor's values on the probe batch in any layout and under any name:
            (mean, std, minimum, maximum, element count).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    low: float
    high: float
    minimum: float
    maximum: float
    fingerprint: tuple[float, float, float, float, int]


class KeptFloat(BaseModel):
    """A layer that stays in float, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    layer: str
    operator: str
    reason: str


class Description(BaseModel):
    """INT8 quantization of one folded program.

    Attributes:
        method: the compressor in recipe form.
        weight_bits: 8, or 7 where the target's 16-bit intermediates would saturate (x86 without VNNI).
        per_channel: weights have one scale per output channel.
        activations: range of every activation tensor of the program, by fx node name (the input included).
        quantized: fx node names of the operators that run in integers.
        kept_float: the operators that do not, with reasons.
        samples: number of calibration samples seen.
        activation_grid: the grid that the ranges were chosen for: UINT8 over the range, or INT8 around zero.
        layers: readable name of every tensor's operator by fx node name, e.g. `layer1.0.conv1` (several nodes may
            share one).
        embeddings: fx node names of the look-ups whose table is stored in INT8, one scale per row.
        dynamic: activations are quantized at run time. `activations` then only identifies tensors: its bounds are
            those of the probe batch, no file holds them, and `samples` is 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: dict[str, dict[str, object]]
    weight_bits: Literal[7, 8]
    per_channel: bool
    activations: dict[str, TensorRange]
    quantized: list[str]
    kept_float: list[KeptFloat]
    samples: int
    activation_grid: Literal["asymmetric", "symmetric"] = "asymmetric"
    layers: dict[str, str] = Field(default_factory=dict)
    embeddings: list[str] = Field(default_factory=list)
    dynamic: bool = False
