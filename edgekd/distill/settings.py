"""How a network is trained: the `train:` block of a recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgekd.distill.optimizer import OPTIMIZERS, Optimizer
from edgekd.distill.schedule import SCHEDULES, Schedule
from edgekd.family import OneOf


class Augment(BaseModel):
    """Random changes of a training image that keep its class.

    Attributes:
        crop_padding: black pixels added on each side before a random crop of the original size.
        flip: mirrors every second image horizontally; wrong for digits and text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    crop_padding: int = Field(default=0, ge=0)
    flip: bool = False

    def __bool__(self) -> bool:
        return self.crop_padding > 0 or self.flip


class TrainSettings(BaseModel):
    """Everything that shapes a training besides the model, the data, the losses and the seed.

    Attributes:
        epochs: passes over the training split.
        batch_size: images per optimisation step; an incomplete last batch is dropped (each epoch shuffles anew).
        optimizer: `sgd` or `adamw`, with its peak learning rate.
        schedule: learning rate over the steps: `cosine` or `step`, each with a warm-up.
        augment: random crops and flips.
        clip_norm: largest L2 norm of the whole gradient; None does not clip.
        patience: epochs without a better validation accuracy before the training stops; None never stops early.
        precision: of the forward and backward pass; `auto` takes bfloat16 or float16 where the hardware has it.
        checkpoint_every_s: seconds between resumable checkpoints within an epoch; one is written after each epoch too.
        threads: CPU threads; None takes all cores. A resumed training keeps the number it started with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=128, ge=2)
    optimizer: Annotated[Optimizer, OneOf(OPTIMIZERS)] = Field(default_factory=lambda: OPTIMIZERS.parse("sgd"))
    schedule: Annotated[Schedule, OneOf(SCHEDULES)] = Field(default_factory=lambda: SCHEDULES.parse("cosine"))
    augment: Augment = Augment()
    clip_norm: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    checkpoint_every_s: float = Field(default=30.0, gt=0)
    threads: int | None = Field(default=None, ge=1, le=1024)

    def key(self) -> dict[str, Any]:
        """The fields that decide the trained weights: everything but how often a checkpoint is written."""
        return self.model_dump(mode="json", exclude={"checkpoint_every_s"})
