"""The exported files: how they were verified, what of them runs in integers, what was timed."""

from __future__ import annotations

from typing import Self

from pydantic import Field, JsonValue, model_validator

from edgekd.compress.description import KeptFloat
from edgekd.report.document.networks import Accuracy, Quality
from edgekd.report.document.parts import NO_REASON, Facts, Fraction, Reasoned


class Parity(Facts):
    """One set of answers against another on the same samples: differences of the logits."""

    max_abs_error: float | None
    mean_abs_error: float | None
    relative_max_error: float | None
    top1_agreement: Fraction | None
    samples: int


class Quantization(Facts):
    """What of an artifact runs in integers."""

    weight_bits: int
    method: JsonValue
    quantized: list[str]
    kept_float: list[KeptFloat] = Field(default=[])


class Latency(Facts):
    """Latency of one batch at one batch size and thread count; `reason` says why figures are None.

    `others_busy_cores`: cores that everything but the timed process kept busy meanwhile, on average.
    `sequence_length`: tokens per text; None for images.
    """

    batch_size: int
    threads: int
    runs: int | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    std_ms: float | None = None
    throughput_per_s: float | None = None
    reason: str | None = None
    others_busy_cores: float | None = None
    others_busy_reason: str | None = None
    sequence_length: int | None = None


class Measurement(Facts):
    """What the agent measured of one artifact.

    Attributes:
        warnings: what makes its figures doubtful.
        machine: the machine's facts as the agent saw them; kept in the JSON, not rendered.
        processes: the agent's answer for each thread count; kept in the JSON, not rendered.
    """

    latency: list[Latency]
    cold_start_ms: float | None = None
    cold_start_reason: str | None = None
    peak_rss_above_runtime_bytes: int | None = None
    peak_rss_reason: str | None = None
    cpu: str | None = None
    warnings: list[str] = Field(default=[])
    machine: JsonValue = None
    processes: JsonValue = None


class Exported(Reasoned):
    """One exported file set.

    Attributes:
        parity: the file's answers against the torch model's.
        alone: its answers to single samples against those that it gives in batches.
        failed: why it could not be made, or its runtime did not run it; None: neither.
        not_measured: why accuracy, parity or measurement are None.
    """

    target: str
    model: str
    format: str
    precision: str
    runtime: str
    path: str
    failed: str | None = None
    size_bytes: int | None = None
    accuracy: Accuracy | None = None
    agreement_with_teacher: Fraction | None = None
    quality: Quality | None = None
    parity: Parity | None = None
    alone: Parity | None = None
    quantization: Quantization | None = None
    measurement: Measurement | None = None
    notes: dict[str, JsonValue] = Field(default={})

    @property
    def label(self) -> str:
        """`onnx int8`, with the network when it is not the student."""
        return f"{self.format} {self.precision}" + ("" if self.model == "student" else f" ({self.model})")

    @model_validator(mode="after")
    def _missing_has_reason(self) -> Self:
        for field in ("accuracy", "parity", "measurement"):
            if getattr(self, field) is None and self.reason(field) == NO_REASON:
                raise ValueError(f"'{field}' is null, and 'not_measured' gives no reason")
        return self
