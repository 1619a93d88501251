"""Distill: a student learns from a frozen teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.distill.loss import LOSSES, Loss
from edgekd.distill.section import DistillSection
from edgekd.distill.settings import TrainSettings

if TYPE_CHECKING:
    from torch import nn

    from edgekd.data.dataset import Dataset
    from edgekd.distill.ensemble import EnsembleCache
    from edgekd.distill.teacher_cache import TeacherCache
    from edgekd.progress import Progress

__all__ = ["LOSSES", "DistillSection", "Loss", "TrainSettings", "train"]


def train(
    model: nn.Module,
    data: Dataset,
    settings: TrainSettings,
    losses: Sequence[Loss],
    *,
    seed: int,
    work: Path,
    progress: Progress,
    teacher: nn.Module | None = None,
    cache: TeacherCache | EnsembleCache | None = None,
) -> dict[str, Any]:
    """Trains `model` in place and leaves the weights of its best epoch in it.

    Args:
        model: the network; reads `(B, C, H, W)` float32, or `(B, T)` int64 token ids and mask, and puts out `(B, K)`
            logits. Ends on the CPU in evaluation mode.
        data: the prepared samples; learns from the training split, selects on the validation split.
        settings: the recipe's `train:` block.
        losses: the terms of the total loss. `[ce]` without a teacher is ordinary training.
        seed: decides batch order, augmentation, projectors and dropout.
        work: where the resumable state lives; the caller removes it. A training that was killed goes on from there and
            ends in the same bits as one that was not.
        progress: where progress is shown.
        teacher: frozen here, in place; None when no loss needs it, or when its outputs are cached.
        cache: the teacher's or the ensemble's outputs, made for the same augmentation and seed.

    Returns:
        `epochs` (one row each: `epoch`, `train_loss`, `terms`, `validation_accuracy`, `learning_rate`, `seconds`),
        `best_epoch`, `best_validation_accuracy`, `stopped_early`, `steps_per_epoch`, `batch_size`, `precision`,
        `device`, `threads`.

    Raises:
        RecipeError: settings that do not fit the data, e.g. a warm-up longer than the training.
        ModelError: a tapped layer that does not exist, or a teacher that does not fit.
        EdgekdError: the loss is no longer a finite number.
        StoreError: the checkpoint cannot be written.
    """
    from edgekd.distill.loop import run
    from edgekd.distill.task import Task

    return run(Task(model, data, settings, losses, seed, teacher, cache), work, progress)
