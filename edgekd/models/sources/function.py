"""A network of your own: `package.module:function`, found from the current folder or among the installed packages.

The function is called with `classes`, `channels` and the options of the recipe, and returns a `torch.nn.Module` that
maps `(B, channels, H, W)` float32 to `(B, classes)` logits:

    # my_models.py
    def small(classes: int, channels: int, width: int = 16) -> torch.nn.Module: ...

    model: {function: {name: "my_models:small", options: {width: 24}}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, JsonValue

from edgekd.backends import versions
from edgekd.errors import ModelError
from edgekd.models.source import ModelSource
from edgekd.models.user_code import import_function, source_files, sources_digest

if TYPE_CHECKING:
    from torch import nn


class Function(ModelSource):
    """A function that returns a network.

    Attributes:
        name: `package.module:function`.
        options: keyword arguments of the function besides `classes` and `channels`.
    """

    kind: ClassVar[Literal["image", "text", "any"]] = "any"
    name: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    options: dict[str, JsonValue] = Field(default_factory=dict)

    def identity(self) -> dict[str, JsonValue]:
        """The installed torch and the SHA-256 of the module's source and of what it imports from beside it."""
        module = self.name.partition(":")[0]
        return {"torch": versions("torch")["torch"], "source_sha256": sources_digest(source_files(module))}

    def build(self, classes: int, channels: int) -> nn.Module:
        """What the function returns.

        Raises:
            ModelError: the function does not exist, does not take its arguments, or returns no module.
        """
        from torch import nn

        module, _, attribute = self.name.partition(":")
        function = import_function(module, attribute)
        try:
            model = function(classes=classes, channels=channels, **self.options)
        except TypeError as error:
            raise ModelError(
                f"{self.name} cannot be called: {error}",
                received=f"classes={classes}, channels={channels}, options {self.options}",
                accepted="a function of classes, channels and the recipe's options",
            ) from error
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"{self.name} does not return a network", received=type(model).__name__, accepted="a torch.nn.Module"
            )
        return model

    def pretrained(self, classes: int, channels: int) -> nn.Module:
        """Always refused: a function publishes no weights."""
        raise ModelError(
            f"{self.name} has no published weights",
            received="weights: pretrained",
            accepted="the path of a checkpoint, or null; the function itself may also load weights",
        )

    @property
    def licence(self) -> str:
        """Unknown to this project."""
        return "the user's own code"
