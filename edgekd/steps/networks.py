"""The float networks of a run: what the steps hand to each other and the report lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekd.models import ModelSection
from edgekd.store import Entry


@dataclass(frozen=True)
class FloatModel:
    """A float torch model of the run: teacher, student, baseline, or something in between.

    Attributes:
        role: its name in the report: `teacher`, `student`, `generation_2`, ...
        section: its architecture.
        entry: its weights.
        evaluation: its answers on the test split.
        note: what its architecture does not tell.
    """

    role: str
    section: ModelSection
    entry: Entry
    evaluation: Entry
    note: str = ""

    @property
    def name(self) -> str:
        """The architecture and where it started, e.g. `cifar_resnet 20, init alternate`."""
        section = self.section
        start = ", pruned" if section.prune else f", init {section.init.method_name}" if section.init else ""
        return section.model.title + start + (f" ({self.note})" if self.note else "")

    def key(self) -> dict[str, Any]:
        """What decides its answers: a part of the store key of what is made of it."""
        source = self.section.model
        return {"model": source.model_dump(mode="json"), "identity": source.identity(), "weights": self.entry.digest}

    @property
    def training(self) -> dict[str, Any] | None:
        """What `edgekd.distill.train` told; None when the weights were used as they are."""
        return self.entry.info.get("training")

    @property
    def parameters(self) -> int:
        """Learnable values."""
        return self.evaluation.info["parameters"]

    @property
    def validation_accuracy(self) -> float | None:
        """That of its best epoch."""
        return None if self.training is None else self.training["best_validation_accuracy"]


@dataclass(frozen=True)
class Ensemble:
    """Several networks that answer together: an upper bound, never shipped."""

    role: str
    members: Sequence[FloatModel]
    evaluation: Entry
    training: None = None

    @property
    def name(self) -> str:
        """How many networks answer."""
        return f"mean of {', '.join(member.role for member in self.members)}"
