"""The teacher: frozen, in evaluation mode, and checked to be so."""

from __future__ import annotations

from torch import nn

from edgekd.distill.digest import weights_digest
from edgekd.errors import ModelError
from edgekd.models.modules import named_modules


def freeze(teacher: nn.Module) -> nn.Module:
    """Sets evaluation mode and turns every gradient off, in place; returns the teacher, verified."""
    teacher.requires_grad_(False)
    teacher.eval()
    verify_frozen(teacher)
    return teacher


def verify_frozen(teacher: nn.Module) -> None:
    """Refuses a teacher that could change while it teaches.

    Raises:
        ModelError: a module is in training mode (its batch statistics or dropout would vary), or a parameter learns.
    """
    training = [name or "(the model itself)" for name, module in named_modules(teacher) if module.training]
    learning = [name for name, parameter in teacher.named_parameters() if parameter.requires_grad]
    if training or learning:
        what = f"in training mode: {', '.join(training[:5])}" if training else f"learning: {', '.join(learning[:5])}"
        raise ModelError(
            "the teacher is not frozen",
            received=what,
            accepted="a model whose eval() reaches all its modules and whose parameters need no gradient",
        )


def verify_unchanged(teacher: nn.Module, digest: str | None) -> None:
    """Refuses a teacher whose weights or buffers are no longer those of `digest`.

    Raises:
        ModelError: something wrote to it while it taught.
    """
    if weights_digest(teacher) != digest:
        raise ModelError(
            "the teacher changed while it taught",
            received="other weights or buffers after the training than before",
            accepted="a model whose forward pass in evaluation mode writes to none of its parameters and buffers",
        )
