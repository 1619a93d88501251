"""Everything that one training is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from edgekd.data.dataset import Dataset
from edgekd.distill.ensemble import EnsembleCache
from edgekd.distill.loss import Loss
from edgekd.distill.settings import TrainSettings
from edgekd.distill.teacher_cache import TeacherCache


@dataclass(frozen=True)
class Task:
    """What decides the trained weights; see `edgekd.distill.train` for the fields."""

    model: nn.Module
    data: Dataset
    settings: TrainSettings
    losses: Sequence[Loss]
    seed: int
    teacher: nn.Module | None = None
    cache: TeacherCache | EnsembleCache | None = None
