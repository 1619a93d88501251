"""Everything that one training is given: what tells it from another, and what can be wrong before its first step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgekd.data.dataset import Dataset
from edgekd.distill.digest import data_digest, weights_digest
from edgekd.distill.ensemble import EnsembleCache
from edgekd.distill.loss import Loss
from edgekd.distill.settings import TrainSettings
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.errors import DataError, ModelError, RecipeError


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

    def fingerprint(self) -> str:
        """Hex SHA-256 over everything that decides the trained weights: whether a checkpoint belongs to this one."""
        parts = {
            "model": weights_digest(self.model),
            "data": data_digest(self.data),
            "settings": self.settings.key(),
            "losses": [loss.model_dump(mode="json") for loss in self.losses],
            "seed": self.seed,
            "teacher": None if self.teacher is None else weights_digest(self.teacher),
            "cache": None if self.cache is None else self.cache.facts,
            "torch": torch.__version__,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def batch_plan(self) -> tuple[int, int]:
        """Samples per step (fewer than asked for when there are not that many) and steps per epoch.

        Raises:
            DataError: fewer than two training samples.
            RecipeError: early stopping without a validation split, or a warm-up that is longer than the training.
            ModelError: losses that need a teacher without one, or a cache made for other inputs.
        """
        settings, train = self.settings, self.data.indices("train")
        if len(train) < 2:
            raise DataError(
                "the training split is too small",
                received=f"{len(train)} {self.data.kind}s",
                accepted="at least 2: batch normalisation cannot learn from one",
            )
        if settings.patience is not None and not len(self.data.indices("validation")):
            raise RecipeError(
                "early stopping needs a validation split",
                where="train.patience",
                received=settings.patience,
                accepted="null, or data.validation above 0",
            )
        batch_size = min(settings.batch_size, len(train))
        steps = len(train) // batch_size
        total, warmup = settings.epochs * steps, settings.schedule.warmup_steps
        if warmup >= total:
            raise RecipeError(
                "the warm-up is longer than the training",
                where="train.schedule.warmup_steps",
                received=f"{warmup} warm-up steps",
                accepted=f"fewer than {total}: {settings.epochs} epochs of {steps} steps",
            )
        needy = [loss.method_name for loss in self.losses if loss.needs_teacher]
        if needy and self.teacher is None and self.cache is None:
            raise ModelError(
                "these losses need a teacher", received=", ".join(needy), hint="give the recipe a teacher section"
            )
        if self.cache is not None:
            self.cache.check(settings.augment, self.seed, train, len(self.data.classes))
        return batch_size, steps
