"""The `data:` block of a recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from edgekd.data.reader import READERS, Reader
from edgekd.family import OneOf


def _fraction(value: object) -> object:
    """Catches percentages: 10 is refused with a hint at 0.1."""
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < 1:
        hint = f"; for {value:g} percent write {value / 100:g}" if 1 <= value < 100 else ""
        raise ValueError(f"give a fraction between 0 and 1, both excluded (received {value:g}){hint}")
    return value


def _kind(value: object) -> str:
    """Which form of `normalize` is meant, so that mistakes are reported for that form alone."""
    return "Auto" if isinstance(value, str) else "Normalize"


class Normalize(BaseModel):
    """Fixed normalisation, `(x / 255 - mean) / std`.

    Attributes:
        mean: per channel, in [0, 1] pixel units.
        std: per channel, in [0, 1] pixel units.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    mean: list[float]
    std: list[float]

    @field_validator("mean")
    @classmethod
    def _mean_in_pixel_units(cls, value: list[float]) -> list[float]:
        if any(not 0 <= entry <= 1 for entry in value):
            raise ValueError(f"give means of pixels scaled to 0..1 (received {value}); divide 0..255 values by 255")
        return value

    @field_validator("std")
    @classmethod
    def _std_in_pixel_units(cls, value: list[float]) -> list[float]:
        if any(not 0 < entry <= 1 for entry in value):
            raise ValueError(f"give deviations above 0 of pixels scaled to 0..1 (received {value}); divide by 255")
        return value


class CalibrationSection(BaseModel):
    """The images that set the quantization ranges.

    Attributes:
        samples: how many.
        reader: where they come from, unlabelled data allowed; null draws them from the training split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    samples: int = Field(default=256, ge=1)
    reader: Annotated[Reader, OneOf(READERS)] | None = None


class DataSection(BaseModel):
    """The data that the models learn from and are scored on.

    Attributes:
        reader: the data source.
        size: (height, width) in pixels that every image is resized and centre-cropped to; one number for a square.
        channels: 3 for RGB, 1 for grey; images are converted.
        validation: fraction of the training samples held out for selection, unless the source has its own split.
        test: fraction of all samples held out for the final score, unless the source has its own test split.
        normalize: `auto` measures mean and deviation on the training split.
        on_corrupt: `refuse` stops and names every image that cannot be decoded; `skip` names them and goes on.
        calibration: the images that set the quantization ranges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    reader: Annotated[Reader, OneOf(READERS)]
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    channels: Literal[1, 3] = 3
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    normalize: Annotated[
        Annotated[Literal["auto"], Tag("Auto")] | Annotated[Normalize, Tag("Normalize")], Discriminator(_kind)
    ] = "auto"
    on_corrupt: Literal["refuse", "skip"] = "refuse"
    calibration: CalibrationSection = CalibrationSection()

    @field_validator("size", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("validation", "test", mode="before")
    @classmethod
    def _fractions(cls, value: object) -> object:
        return _fraction(value)

    @field_validator("normalize", mode="before")
    @classmethod
    def _auto_or_values(cls, value: object) -> object:
        if isinstance(value, str) and value != "auto":
            raise ValueError(f"give 'auto', or a mapping of mean and std (received '{value}')")
        return value

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> DataSection:
        if isinstance(self.normalize, Normalize):
            for name, values in (("mean", self.normalize.mean), ("std", self.normalize.std)):
                if len(values) != self.channels:
                    raise ValueError(f"normalize.{name} has {len(values)} values for channels: {self.channels}")
        return self
