"""What can be wrong with a training before its first step."""

from __future__ import annotations

from edgekd.distill.settings import TrainSettings
from edgekd.distill.task import Task
from edgekd.errors import DataError, ModelError, RecipeError


def batch_plan(settings: TrainSettings, samples: int) -> tuple[int, int]:
    """Samples per step (fewer than asked for when there are not that many) and steps per epoch."""
    batch_size = min(settings.batch_size, samples)
    return batch_size, samples // batch_size


def check_task(task: Task) -> None:
    """Refuses what cannot be trained.

    Raises:
        DataError: fewer than two training samples.
        RecipeError: early stopping without a validation split, or a warm-up that is longer than the training.
        ModelError: losses that need a teacher without one, or a cache made for other inputs.
    """
    settings, train = task.settings, task.data.indices("train")
    if len(train) < 2:
        raise DataError(
            "the training split is too small",
            received=f"{len(train)} {task.data.kind}s",
            accepted="at least 2: batch normalisation cannot learn from one",
        )
    if settings.patience is not None and not len(task.data.indices("validation")):
        raise RecipeError(
            "early stopping needs a validation split",
            where="train.patience",
            received=settings.patience,
            accepted="null, or data.validation above 0",
        )
    _, steps = batch_plan(settings, len(train))
    total, warmup = settings.epochs * steps, settings.schedule.warmup_steps
    if warmup >= total:
        raise RecipeError(
            "the warm-up is longer than the training",
            where="train.schedule.warmup_steps",
            received=f"{warmup} warm-up steps",
            accepted=f"fewer than {total}: {settings.epochs} epochs of {steps} steps",
        )
    needy = [loss.method_name for loss in task.losses if loss.needs_teacher]
    if needy and task.teacher is None and task.cache is None:
        raise ModelError(
            "these losses need a teacher", received=", ".join(needy), hint="give the recipe a teacher section"
        )
    if task.cache is not None:
        task.cache.check(settings.augment, task.seed, train, len(task.data.classes))
