"""The layers that a loss names: which of them the networks do not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekd.distill.loss import Layers, Loss
from edgekd.errors import ModelError, nearest

LISTED = 60
"""Layers that a message shows; large networks have hundreds."""


@dataclass(frozen=True)
class Missing:
    """A layer that a network does not have.

    Attributes:
        role: of the network.
        name: of the layer.
        names: of the layers that it has.
    """

    role: Literal["student", "teacher"]
    name: str
    names: Sequence[str]

    def told(self, named_by: str = "") -> str:
        """What is wrong, with the nearest name; `named_by` says who names the layer."""
        return f"the {self.role} has no layer '{self.name}'{named_by}{nearest(self.name, self.names)}"

    @property
    def accepted(self) -> str:
        """The names, the first ones of many."""
        more = f" and {len(self.names) - LISTED} more" if len(self.names) > LISTED else ""
        return ", ".join(self.names[:LISTED]) + more


def missing_layers(loss: Loss, layers: Layers) -> Iterator[Missing]:
    """What a loss, its layer maps resolved, taps and the networks do not have."""
    student, teacher = loss.taps()
    for name in dict.fromkeys(student):
        if name not in layers.student:
            yield Missing("student", name, layers.student)
    for name in dict.fromkeys(teacher):
        if name not in layers.teacher:
            yield Missing("teacher", name, layers.teacher)


def resolved(loss: Loss, term: str, layers: Layers) -> Loss:
    """The loss with its layer maps resolved.

    Args:
        loss: as in the recipe.
        term: its name among the recipe's losses, for the message.
        layers: of the networks.

    Raises:
        ModelError: its layer maps fit no layers of these networks.
    """
    try:
        return loss.resolve(layers)
    except ModelError as error:
        raise ModelError(f"distill.losses.{term}: {error}") from error


def require_layers(loss: Loss, term: str, layers: Layers) -> None:
    """Refuses a resolved loss that names layers which are not there.

    Raises:
        ModelError: with the loss, the layer and those that exist.
    """
    for missing in missing_layers(loss, layers):
        raise ModelError(
            missing.told(f", which the loss '{term}' names"),
            where=f"distill.losses.{term}",
            received=missing.name,
            accepted=missing.accepted,
        )
