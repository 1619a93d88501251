"""The contract of a model source: what a recipe names under `model:`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import JsonValue

from edgekd.family import Family, Method

if TYPE_CHECKING:
    from torch import nn


class ModelSource(Method):
    """Builds a network: `(B, channels, H, W)` float32 to `(B, classes)` logits, or one that reads texts.

    Attributes:
        kind: what it reads. A text network has `channels` 0 and is called with token ids and attention mask, both
            `(B, T)` int64.
        places: fields that only say where something lies; what lies there is in `identity`.
    """

    kind: ClassVar[Literal["image", "text", "any"]] = "image"
    places: ClassVar[tuple[str, ...]] = ()

    def identity(self) -> dict[str, JsonValue]:
        """What decides the built network besides the fields: package versions, source digests. Imports no torch."""
        raise NotImplementedError

    def misfit(self, task: str, max_length: int) -> str | None:
        """Why this network of texts cannot do the data section's task on texts of that many tokens; None: it can."""
        return None

    def build(self, classes: int, channels: int) -> nn.Module:
        """A freshly initialised network; the same one for the same torch seed.

        Raises:
            ModelError: the network does not exist, or does not fit the number of classes or channels.
        """
        raise NotImplementedError

    def pretrained(self, classes: int, channels: int) -> nn.Module:
        """The network with its published weights; a fresh head where the number of classes differs.

        Raises:
            ModelError: there are no published weights, or they cannot be fetched.
        """
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What the report calls it: its name and its sizes."""
        fields = self.model_dump(mode="json")[self.method_name]
        return " ".join([self.method_name, *(str(value) for value in fields.values() if isinstance(value, str | int))])

    @property
    def licence(self) -> str:
        """Licence of the architecture's code and published weights, as far as the source knows it."""
        raise NotImplementedError


MODELS = Family("edgekd.models.sources", ModelSource)
