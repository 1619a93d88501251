"""What the run was trained, calibrated and scored on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from edgekd.report.document.parts import Facts, Fraction


class DomainShift(Facts):
    """Calibration images against training images, per channel.

    Attributes:
        channel_mean_shift: difference of the means, in standard deviations of the training data.
        channel_std_ratio: standard deviation of the calibration images over that of the training images.
    """

    channel_mean_shift: list[float]
    channel_std_ratio: list[float]


class TokenShift(Facts):
    """Calibration texts against training texts.

    Attributes:
        unseen_share: share of the calibration texts' tokens that no training text has.
        unknown_share: share of tokens that the tokenizer's vocabulary lacks; None when it lacks none.
        train_unknown_share: the same of the training texts.
        median_length: in tokens.
        train_median_length: in tokens.
    """

    unseen_share: Fraction
    unknown_share: Fraction | None
    train_unknown_share: Fraction | None
    median_length: float
    train_median_length: float


class Calibration(Facts):
    """The samples that decided the quantization ranges."""

    samples: int = Field(ge=0)
    source: str | None = None
    coverage: dict[str, int] | None = None
    sha256: str | None = None
    overlap_removed: int | None = None
    domain_shift: DomainShift | TokenShift | None = None
    warnings: list[str] = Field(default=[])


class Data(Facts):
    """What the run was trained, selected and scored on. `counts` is split -> class -> images, texts or tokens."""

    kind: Literal["image", "text"] = "image"
    task: str | None = None
    reader: JsonValue = None
    classes: list[str]
    counts: dict[str, dict[str, int]]
    sha256: str | None = None
    licence: str | None = None
    warnings: list[str] = Field(default=[])
    calibration: Calibration | None = None

    @property
    def counted(self) -> str:
        """What has a class, in the plural."""
        return "labelled tokens" if self.task == "token_classification" else f"{self.kind}s"
