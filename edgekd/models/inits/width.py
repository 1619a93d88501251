"""The most important units of the teacher: width pruning into a student of another shape, Muralidharan et al. 2024.

    student tensor = teacher tensor[kept, kept, ...]     kept = the student's number of units of highest importance

Every dimension is an atom or a product of atoms (`axes.py`); one atom keeps the same units wherever it occurs, so a
hidden dimension that is dropped is dropped along the whole residual stream: embeddings, norms, projections, head. So a
narrower encoder of sentences puts out the embedding's kept dimensions, where `dimensions` gives it no other width. The
depth may differ too: blocks are then taken as by `alternate`. Importance scores: `importance.py`.

Muralidharan et al.: Compact Language Models via Pruning and Knowledge Distillation, https://arxiv.org/abs/2407.14679
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from edgekd.models.init import corresponding
from edgekd.models.inits.alternate import Alternate

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekd.models.axes import Atom, Dims
    from edgekd.models.importance import Batch


class Width(Alternate):
    """The teacher's most important channels, heads, neurons and hidden dimensions.

    Attributes:
        importance: `taylor` looks at the loss on training samples, `magnitude` at the weights.
    """

    hint: ClassVar[str] = "choose a student of the teacher's family that is narrower or as wide, not wider"
    importance: Literal["magnitude", "taylor"] = "taylor"

    def tensors(
        self, student: nn.Module, teacher: nn.Module, example: Sequence[Tensor], batches: Iterable[Batch]
    ) -> dict[str, Tensor]:
        """The formula above; tensors that cannot be narrowed to the student's shape are left out."""
        from edgekd.models.importance import importances, most_important
        from edgekd.models.narrow import narrowed
        from edgekd.models.widths import widths

        own, given = widths(student, example), widths(teacher, example)
        given_tensors, shapes = teacher.state_dict(), {name: v.shape for name, v in student.state_dict().items()}
        pairs = corresponding(self, list(shapes), list(given_tensors))
        keep: dict[Atom, int] = {}
        for name, source in pairs.items():
            if name in own.tensors and source in given.tensors:
                _note(own.tensors[name], given.tensors[source], keep)
        less = [atom for atom, size in keep.items() if size < atom.size]
        scores = importances(teacher, given, less, self.importance, batches)
        kept = {atom: most_important(score, keep[atom]) for atom, score in scores.items()}
        result = narrowed(given_tensors, given, kept)
        return {name: result[source] for name, source in pairs.items() if result[source].shape == shapes[name]}


def _note(student: Dims, teacher: Dims, keep: dict[Atom, int]) -> None:
    """How many units the student has of each of the teacher's atoms; the first place where they differ decides."""
    from edgekd.models.axes import FIXED

    for own, given in zip(student, teacher, strict=False):
        for few, many in zip(own, given, strict=False) if len(own) == len(given) else ():
            if few.size <= many.size and FIXED not in many.marks:
                keep.setdefault(many, few.size)
