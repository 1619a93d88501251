"""torchvision's classifiers by name, e.g. `resnet50`.

Published weights are fetched from download.pytorch.org, checked against the hash in their name as they arrive, and read
with `weights_only=True`. Where the number of classes differs from the published one the last layer is fresh; for grey
images the first convolution's weights are summed over the colours.
"""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue

from edgekd.backends import versions
from edgekd.errors import ModelError, nearest
from edgekd.models.options import built_with
from edgekd.models.source import ModelSource

if TYPE_CHECKING:
    from torch import nn

# Their auxiliary heads make the output a tuple in training mode.
WITH_AUXILIARY_HEADS = {"googlenet", "inception_v3"}


class Torchvision(ModelSource):
    """A classifier of torchvision.

    Attributes:
        name: as in `torchvision.models.list_models(module=torchvision.models)`.
        options: of its constructor, e.g. `{image_size: 64}` of `vit_b_16`.
    """

    name: str
    options: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    def identity(self) -> dict[str, JsonValue]:
        """The installed torch and torchvision."""
        return dict(versions("torch", "torchvision"))

    def build(self, classes: int, channels: int) -> nn.Module:
        """A fresh network with `classes` outputs."""
        models = self._models()
        from edgekd.models.adapt import adapt_channels

        fixed: dict[str, Any] = {"weights": None, "num_classes": classes}
        if self.name in WITH_AUXILIARY_HEADS:
            fixed |= {"aux_logits": False, "init_weights": True}
        model = built_with(self.name, self.options, partial(models.get_model, self.name, **fixed))
        adapt_channels(model, channels)
        return model

    def pretrained(self, classes: int, channels: int) -> nn.Module:
        """The network with torchvision's default weights."""
        models = self._models()
        from edgekd.models.adapt import adapt_channels, adapt_classes

        weights = models.get_model_weights(self.name).DEFAULT
        try:
            # Proves the cached file harmless; the builder then reads the same file.
            weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise ModelError(
                f"the published weights of {self.name} cannot be fetched",
                where=weights.url,
                received=error,
                hint="fetch the file on another machine and give its path as weights",
            ) from error
        model = built_with(self.name, self.options, partial(models.get_model, self.name, weights=weights))
        adapt_channels(model, channels)
        adapt_classes(model, classes)
        return model

    @property
    def licence(self) -> str:
        """torchvision's licence."""
        return "BSD-3-Clause (torchvision; published weights: trained on ImageNet, see its terms)"

    def _models(self) -> Any:
        from torchvision import models

        names = models.list_models(module=models)
        if self.name not in names:
            raise ModelError(
                f"torchvision has no classifier '{self.name}'{nearest(self.name, names)}", accepted=", ".join(names)
            )
        return models
