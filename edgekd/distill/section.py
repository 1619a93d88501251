"""The `distill:` block of a recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgekd.distill.loss import LOSSES, Loss
from edgekd.distill.ramp import mean_of
from edgekd.distill.settings import TrainSettings
from edgekd.distill.strategy import STRATEGIES, Strategy
from edgekd.family import OneOf

DEFAULT_CROPS = 4


class Crops(BaseModel):
    """Cached teacher outputs for augmented training.

    Attributes:
        crops: augmented variants of each sample that the teacher sees; epoch e trains on variant `e mod crops`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    crops: int = Field(ge=1, le=1000)


class DistillSection(BaseModel):
    """How the student learns.

    Attributes:
        losses: the terms of the total loss, `sum weight_i * loss_i`.
        train: the training.
        teacher_outputs: `cached` computes the teacher's logits once (of 4 augmented variants per sample when the
            training augments, or as many as `{crops: n}` says); `recomputed` runs the teacher in every step.
        strategy: who teaches whom: `plain`, or a chain of trainings such as `born_again`.
        ensemble: how several `teachers` are read as one: `weighted` by their weights, or by their `confidence` in each
            sample's label (CA-MKD).
        baselines: what the student is compared with: `student_alone` is the same student, equally long trained on hard
            labels only; `quantized_teacher` is the teacher itself, quantized.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    losses: list[Annotated[Loss, OneOf(LOSSES)]] = Field(min_length=1)
    train: TrainSettings = TrainSettings()
    teacher_outputs: Literal["cached", "recomputed"] | Crops = "cached"
    strategy: Annotated[Strategy, OneOf(STRATEGIES)] = Field(default_factory=lambda: STRATEGIES.parse("plain"))
    ensemble: Literal["weighted", "confidence"] = "weighted"
    baselines: list[Literal["student_alone", "quantized_teacher"]] = []

    @field_validator("teacher_outputs", mode="before")
    @classmethod
    def _known_form(cls, value: object) -> object:
        if isinstance(value, str) and value not in ("cached", "recomputed"):
            raise ValueError("give 'cached', 'recomputed' or {crops: n}")
        return value

    @field_validator("baselines")
    @classmethod
    def _named_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a baseline is named twice")
        return value

    @model_validator(mode="after")
    def _possible(self) -> DistillSection:
        if not any(mean_of(loss.weight) for loss in self.losses):
            raise ValueError("the weights of all losses are 0: there is nothing to learn from")
        if isinstance(self.teacher_outputs, Crops):
            if not any(loss.needs_teacher for loss in self.losses):
                raise ValueError("teacher_outputs: no loss looks at the teacher; leave it out")
            if self.needs_teacher_online():
                taps = ", ".join(loss.method_name for loss in self.losses if loss.compares_layers())
                raise ValueError(
                    f"teacher_outputs: {taps} compare inner layers, of which no outputs are cached; give 'recomputed'"
                )
            if self.teacher_outputs.crops > 1 and not self.train.augment:
                raise ValueError("teacher_outputs: without augmentation all crops are the same; give 'cached'")
        return self

    def needs_teacher_online(self) -> bool:
        """Whether a loss looks at the teacher's inner layers, so that the teacher runs in every step."""
        return any(loss.compares_layers() for loss in self.losses)

    def cached_crops(self) -> int | None:
        """Variants per sample to cache the teacher's logits of; None when nothing is cached."""
        if self.teacher_outputs == "recomputed" or self.needs_teacher_online():
            return None
        if not any(loss.needs_teacher for loss in self.losses):
            return None
        if isinstance(self.teacher_outputs, Crops):
            return min(self.teacher_outputs.crops, self.train.epochs)
        return min(DEFAULT_CROPS, self.train.epochs) if self.train.augment else 1

    def cache_key(self) -> dict[str, Any]:
        """What decides the cached outputs besides the teacher, the data and the seed."""
        return {"crops": self.cached_crops(), "augment": self.train.augment.model_dump(mode="json")}

    def warnings(self, *, alone: bool = True) -> list[str]:
        """Settings that are valid and rarely meant.

        Args:
            alone: whether the student can learn without a teacher and be compared with what it learns with one.
        """
        found: list[str] = []
        total = sum(mean_of(loss.weight) for loss in self.losses)
        if sum(mean_of(loss.weight) for loss in self.losses if loss.needs_teacher) < 0.05 * total:
            found.append("distill.losses: (almost) all weight is on the hard labels; the teacher has no say")
        if alone and "student_alone" not in self.baselines:
            found.append("distill.baselines: without 'student_alone' the report cannot tell what the teacher brought")
        if self.teacher_outputs == "recomputed" and not self.train.augment and not self.needs_teacher_online():
            found.append("distill.teacher_outputs: without augmentation 'cached' gives the same result, faster")
        return found
