"""Models: teachers and students, where they come from and how their weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgekd.artifact import sha256_file
from edgekd.distill.settings import TrainSettings
from edgekd.errors import ModelError
from edgekd.family import OneOf
from edgekd.models.init import INITS, Init
from edgekd.models.prune import Prune
from edgekd.models.source import MODELS, ModelSource
from edgekd.recipe_path import RecipePath

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "ModelSection", "ModelSource", "TeacherSection", "load", "model_key", "parameter_count"]


class ModelSection(BaseModel):
    """The `teacher:` or `student:` block of a recipe.

    Attributes:
        model: the architecture.
        weights: a checkpoint (`.safetensors`, or `.pt` with tensors only), relative to the recipe; `pretrained` for
            the weights that the model's package publishes; null to start from scratch.
        train: how it is trained on the labels; null uses the weights as they are.
        init: a student's first weights are the teacher's, chosen so; null: fresh ones, or `weights`.
        prune: the student is a copy of the teacher without its least important inner units; its model is the teacher's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    model: Annotated[ModelSource, OneOf(MODELS)]
    weights: Literal["pretrained"] | RecipePath | None = None
    train: TrainSettings | None = None
    init: Annotated[Init, OneOf(INITS)] | None = None
    prune: Prune | None = None

    @field_validator("weights", mode="before")
    @classmethod
    def _path_or_word(cls, value: object) -> object:
        if value is not None and not isinstance(value, str | Path):
            raise ValueError("give the path of a checkpoint, 'pretrained', or null")
        return value

    @property
    def starts_from_teacher(self) -> bool:
        """Whether the network before its training depends on the teacher's weights."""
        return self.init is not None or self.prune is not None

    def weights_path(self) -> Path | None:
        """The checkpoint's path; None when the weights are published ones or fresh."""
        return self.weights if isinstance(self.weights, Path) else None


class TeacherSection(ModelSection):
    """One of several teachers, in the list `teachers:` of a recipe.

    Attributes:
        weight: its say in the ensemble, relative to the others'.
    """

    weight: float = Field(default=1.0, gt=0)


def model_key(section: ModelSection) -> dict[str, Any]:
    """What decides the network that `load` returns, as JSON: names no path, imports no torch.

    Raises:
        ModelError: there is no such checkpoint, or the model's source cannot be found.
    """
    path = section.weights_path()
    if path is not None and not path.is_file():
        raise ModelError("there is no such checkpoint", where=path, accepted="a .safetensors or .pt file")
    source = section.model
    fields = source.model_dump(mode="json")[source.method_name]
    return {
        "model": {source.method_name: {name: value for name, value in fields.items() if name not in source.places}},
        "identity": section.model.identity(),
        "weights": section.weights if path is None else {"sha256": sha256_file(path)},
    }


def load(section: ModelSection, classes: int, channels: int, seed: int) -> nn.Module:
    """Builds the network and loads its weights.

    Args:
        section: the recipe's block.
        classes: number of logits.
        channels: of the input images, 1 or 3.
        seed: of the fresh weights; the caller's random stream is left alone.

    Raises:
        ModelError: it cannot be built, or the checkpoint does not fit it (a head of another size included).
    """
    from edgekd.models.checkpoint import load_into, read_tensors
    from edgekd.models.modules import seeded

    with seeded(seed):
        if section.weights == "pretrained":
            return section.model.pretrained(classes, channels)
        model = section.model.build(classes, channels)
    path = section.weights_path()
    if path is not None:
        load_into(model, read_tensors(path), path)
    return model


def parameter_count(model: nn.Module) -> int:
    """Number of learnable values; shared ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())
