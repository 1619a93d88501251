"""Structured pruning: a copy of the teacher without its least important inner units, which distillation then repairs.

    channels    between a convolution and the layers that read it, where nothing else is added in between:
                the filters of Li et al. 2017, https://arxiv.org/abs/1608.08710
    ffn         between two linear layers
    heads       of every attention, whole: Michel et al. 2019, https://arxiv.org/abs/1905.10650

Each width loses the same share of its units, the least important of that layer. The residual stream keeps its width:
it would have to be narrowed in all layers at once, which `init: width` does into a student of another shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekd.models.axes import Atom
    from edgekd.models.importance import Batch
    from edgekd.models.widths import Widths

Share = Annotated[float, Field(gt=0, lt=1)]
# Removing exact zeros changes the order of the sums: 2e-6 was the worst of the torchvision and timm networks tried.
TOLERANCE = 1e-4
KINDS = ("channels", "ffn", "heads")


class Prune(BaseModel):
    """The `prune:` block of a student.

    Attributes:
        channels: share of the channels inside convolutional blocks to remove.
        ffn: share of the neurons inside feed-forward blocks to remove.
        heads: share of each attention's heads to remove.
        importance: what decides which: `taylor` looks at the loss on training samples, `magnitude` at the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    channels: Share | None = None
    ffn: Share | None = None
    heads: Share | None = None
    importance: Literal["magnitude", "taylor"] = "taylor"

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.channels is None and self.ffn is None and self.heads is None:
            raise ValueError("give the share to remove of channels, ffn or heads")
        return self


def prune(model: nn.Module, section: Prune, example: Sequence[Tensor], batches: Iterable[Batch]) -> dict[str, Any]:
    """Narrows the model in place.

    Args:
        model: a trained network.
        section: what to remove.
        example: its inputs, a batch of two.
        batches: training samples that `taylor` looks at.

    Returns:
        Kind to `{"layers", "units_before", "units_after"}`.

    Raises:
        ModelError: the network has nothing of a kind that is to be pruned, or counts its heads in a way of its own.
    """
    from edgekd.models.attention import opened
    from edgekd.models.checkpoint import load_into
    from edgekd.models.importance import importances, most_important
    from edgekd.models.modules import named_modules
    from edgekd.models.narrow import masked, narrowed, shrink_to
    from edgekd.models.widths import widths

    if section.heads is not None:
        for _, module in named_modules(model):
            opened(module)
    found = widths(model, example)
    shares = {kind: share for kind in KINDS if (share := getattr(section, kind)) is not None}
    chosen = {kind: inner_widths(found, kind) for kind in shares}
    empty = [kind for kind, atoms in chosen.items() if not atoms]
    if empty:
        has = {kind: len(inner_widths(found, kind)) for kind in KINDS}
        raise ModelError(
            f"the network has no {' and no '.join(empty)} that can be pruned",
            where="student.prune",
            received=", ".join(f"{count} layers with {kind}" for kind, count in has.items()),
            accepted="units inside a block, to which no other layer's output is added",
        )
    scores = importances(model, found, [a for atoms in chosen.values() for a in atoms], section.importance, batches)
    keep = {atom: max(1, round(atom.size * (1 - shares[kind]))) for kind, atoms in chosen.items() for atom in atoms}
    kept = {atom: most_important(scores[atom], count) for atom, count in keep.items()}
    tensors = narrowed(model.state_dict(), found, kept)
    expected = _answers(model, masked(model.state_dict(), found, kept), example)
    shrink_to(model, tensors)
    load_into(model, tensors, "the pruned network")
    _check(model, expected, example)
    return {
        kind: {
            "layers": len(atoms),
            "units_before": sum(atom.size for atom in atoms),
            "units_after": sum(keep[atom] for atom in atoms),
        }
        for kind, atoms in chosen.items()
    }


def _answers(model: nn.Module, tensors: Mapping[str, Tensor], example: Sequence[Tensor]) -> Tensor:
    import torch

    from edgekd.models.modules import evaluating

    with evaluating(model), torch.no_grad():
        return torch.func.functional_call(model, dict(tensors), tuple(example))


def _check(model: nn.Module, expected: Tensor, example: Sequence[Tensor]) -> None:
    """The narrowed network must run, and answer as the one of full size that does not read the removed units."""
    try:
        answers = _answers(model, model.state_dict(), example)
        error = float((answers - expected).abs().max() / expected.abs().max().clamp_min(1e-12))
        problem = f"relative error {error:.2g}" if not error <= TOLERANCE else None
    except (RuntimeError, ValueError, IndexError) as failure:
        problem = str(failure).split("\n")[0][:300]
    if problem is not None:
        raise ModelError(
            "the pruned network does not answer as the network whose removed units are silenced",
            where="student.prune",
            received=problem,
            accepted="a network that reads its widths off its layers, or counts heads as num_heads or the like",
            hint="leave out heads, or the kind that this network counts in a way of its own",
        )


def inner_widths(found: Widths, kind: str) -> list[Atom]:
    """The widths of one kind that one place makes and another reads, outside of the residual stream."""
    from edgekd.models.axes import FIXED, HEAD_DIM, HEADS, STREAM, WHOLE

    atoms = [
        atom
        for atom in found.made
        if atom in found.read and atom.size > 1 and not atom.marks & {FIXED, WHOLE, STREAM, HEAD_DIM}
    ]
    if kind == "heads":
        return [atom for atom in atoms if HEADS in atom.marks]
    plain = [atom for atom in atoms if HEADS not in atom.marks]
    convolved = {atom for atom in plain if any(len(found.tensors[axis.tensor]) > 2 for axis in found.made[atom])}
    return [atom for atom in plain if (atom in convolved) == (kind == "channels")]
