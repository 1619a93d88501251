"""The contract of a student initialisation: which of the teacher's tensors, or parts of them, the student starts from.

Tensors correspond by name. Where the numbered siblings of a module (`layer1.0`, `encoder.layer.3`, `blocks.5`) are
blocks of layers, the init says which teacher block each student block is copied from; the numbers of single layers
(`features.3` of a VGG) are names like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from edgekd.errors import ModelError
from edgekd.family import Family, Method

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekd.models.importance import Batch

SHOWN = 10


class Init(Method):
    """Where the student's first weights come from.

    Attributes:
        hint: what to do about a student that no tensor of the teacher fits.
    """

    hint: ClassVar[str] = "choose a student of the teacher's family, or init: {width: {}} for a narrower one"

    def check(self, stages: Mapping[str, tuple[int, int]]) -> None:
        """Refuses a choice of blocks that these networks do not have.

        Args:
            stages: name of each sequence of blocks to its length in the student and in the teacher.
        """

    def sources(self, stage: str, count: int, of: int) -> Sequence[int]:
        """The teacher's block for each of the `count` student blocks of a stage that has `of` in the teacher."""
        raise NotImplementedError

    def tensors(
        self, student: nn.Module, teacher: nn.Module, example: Sequence[Tensor], batches: Iterable[Batch]
    ) -> dict[str, Tensor]:
        """The values to start from, by the student's names; whole tensors of the same shape.

        Args:
            student: freshly initialised.
            teacher: trained.
            example: inputs of both, a batch of two.
            batches: training samples.
        """
        own, given = student.state_dict(), teacher.state_dict()
        pairs = corresponding(self, list(own), list(given))
        return {name: given[source] for name, source in pairs.items() if given[source].shape == own[name].shape}


INITS = Family("edgekd.models.inits", Init)


def initialise(
    student: nn.Module, teacher: nn.Module, init: Init, example: Sequence[Tensor], batches: Iterable[Batch]
) -> dict[str, Any]:
    """Fills the student, in place.

    Returns:
        `copied`: number of tensors from the teacher; `fresh`: names of those that keep their initial values.

    Raises:
        ModelError: no tensor of the teacher fits.
    """
    found = init.tensors(student, teacher, example, batches)
    own, given = student.state_dict(), teacher.state_dict()
    if not any(own[name].ndim > 1 for name in found):
        rows = [f"{name} {tuple(value.shape)}" for name, value in own.items() if value.ndim > 1][:SHOWN]
        others = [f"{name} {tuple(value.shape)}" for name, value in given.items() if value.ndim > 1][:SHOWN]
        raise ModelError(
            "no weight of the teacher fits the student",
            where="student.init",
            received="the student has " + ", ".join(rows),
            accepted="the names of the teacher: " + ", ".join(others),
            hint=init.hint,
        )
    student.load_state_dict(found, strict=False)
    return {"copied": len(found), "fresh": [name for name in own if name not in found]}


def corresponding(init: Init, student: Sequence[str], teacher: Sequence[str]) -> dict[str, str]:
    """The teacher's tensor for each of the student's that has one.

    Raises:
        ModelError: the student has more blocks than the teacher.
    """
    own, given = _numbered(student), _numbered(teacher)
    stages = {stage: (len(own[stage]), len(given[stage])) for stage in own if stage in given}
    deeper = [f"{stage} ({count} blocks, the teacher has {of})" for stage, (count, of) in stages.items() if count > of]
    if deeper:
        raise ModelError(
            "the student has more blocks than the teacher", where="student.init", received=", ".join(deeper)
        )
    init.check(stages)
    known, found = set(teacher), dict[str, str]()
    for name in student:
        parts, source = name.split("."), list[str]()
        for index, part in enumerate(parts):
            # Looked up by the teacher's path: stages inside of blocks (timm's `blocks.2.1`) follow their block.
            stage, above = ".".join(parts[:index]), ".".join(source)
            if part.isdigit() and int(part) in own.get(stage, []) and above in given:
                chosen = init.sources(stage, len(own[stage]), len(given[above]))
                source.append(str(given[above][chosen[own[stage].index(int(part))]]))
            else:
                source.append(part)
        if ".".join(source) in known:
            found[name] = ".".join(source)
    return found


def _numbered(names: Iterable[str]) -> dict[str, list[int]]:
    """Path of each sequence of blocks to its numbers; a block holds layers: its tensors' names go two levels deep."""
    found: dict[str, set[int]] = {}
    for name in names:
        parts = name.split(".")
        for index, part in enumerate(parts[:-2]):
            if part.isdigit():
                found.setdefault(".".join(parts[:index]), set()).add(int(part))
    return {path: sorted(numbers) for path, numbers in found.items()}
