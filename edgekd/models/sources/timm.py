"""timm's classifiers by name, e.g. `mobilenetv3_small_100`.

timm adapts the number of classes and input channels itself. Published weights are fetched from huggingface.co and read
as safetensors or with `weights_only=True`.

Wightman: PyTorch Image Models, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue

from edgekd.backends import need, versions
from edgekd.errors import ModelError, nearest
from edgekd.models.options import built_with
from edgekd.models.source import ModelSource

if TYPE_CHECKING:
    from torch import nn

OFFERED_NAMES = 20


class Timm(ModelSource):
    """A classifier of timm.

    Attributes:
        name: as in `timm.list_models()`, with or without the tag of its weights, e.g. `resnet18.a1_in1k`.
        options: of its constructor, e.g. `{img_size: 64, drop_path_rate: 0.1}`.
    """

    name: str
    options: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    def identity(self) -> dict[str, JsonValue]:
        """The installed torch and timm."""
        return dict(versions("torch", "timm"))

    def build(self, classes: int, channels: int) -> nn.Module:
        """A fresh network with `classes` outputs."""
        fixed = {"pretrained": False, "num_classes": classes, "in_chans": channels}
        return built_with(self.name, self.options, partial(self._timm().create_model, self.name, **fixed))

    def pretrained(self, classes: int, channels: int) -> nn.Module:
        """The network with the published weights of its tag."""
        fixed = {"pretrained": True, "num_classes": classes, "in_chans": channels}
        create = partial(self._timm().create_model, self.name, **fixed)
        try:
            return built_with(self.name, self.options, create)
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise ModelError(
                f"the published weights of {self.name} cannot be fetched",
                received=error,
                hint="fetch them on another machine and give the file's path as weights",
            ) from error

    @property
    def licence(self) -> str:
        """timm's licence."""
        return "Apache-2.0 (timm; published weights: see the model's card)"

    def _timm(self) -> Any:
        timm = need("timm", extra="timm")
        if not timm.is_model(self.name):
            names = timm.list_models()
            stem = self.name.split("_")[0].split(".")[0]
            offered = [name for name in names if name.startswith(stem)][:OFFERED_NAMES] or names[:OFFERED_NAMES]
            raise ModelError(
                f"timm has no model '{self.name}'{nearest(self.name, names)}",
                accepted=f"{', '.join(offered)}, ... ({len(names)} in all: timm.list_models())",
            )
        return timm
