"""The training loop: teacher and data in, the student's best weights out.

Everything random is a pure function of the seed and the position (batch order, augmentation) or part of the saved state
(dropout), and the state is written atomically: a training that is killed at any moment and started again ends in the
same bits as one that was not.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.distill.batches import batches_of, from_numpy
from edgekd.distill.centroids import centroids, scored
from edgekd.distill.digest import weights_digest
from edgekd.distill.inference import logits_of, probe, width_of
from edgekd.distill.objective import Objective
from edgekd.distill.optimizer import parameter_groups
from edgekd.distill.precision import autocast, resolve_precision, training_device
from edgekd.distill.state import has_state, read_state, write_state
from edgekd.distill.task import Task
from edgekd.distill.teacher import freeze, verify_frozen, verify_unchanged
from edgekd.distill.threads import all_cores
from edgekd.errors import EdgekdError
from edgekd.models.modules import place, seeded
from edgekd.progress import Progress

# Reading a loss back stalls a GPU; on a CPU it costs nothing either way.
STEPS_BETWEEN_FINITE_CHECKS = 50
CENTROID_SAMPLES = 2000
# Where a training is, and what it has seen: the plain part of its state.
RECORD = ("epoch", "position", "sums", "best", "best_accuracy", "best_epoch", "seconds", "history")


class Training:
    """One training: its parts, its position and its record.

    Attributes:
        epoch: the current epoch, from 0.
        position: steps done in it.
        history: one row per finished epoch.
    """

    def __init__(self, task: Task, progress: Progress) -> None:
        self.data, self.settings, self.seed = task.data, task.settings, task.seed
        self.cache, self.progress = task.cache, progress
        data, settings = task.data, task.settings
        self.train_indices = data.indices("train")
        self.validation_indices = data.indices("validation")
        self.batch_size, self.steps = task.batch_plan()
        self.device = training_device()
        self.precision = resolve_precision(settings.precision, self.device)
        self.batches = batches_of(data, self.device, settings.augment, self.seed)
        self.plain_batches = batches_of(data, self.device)
        self.model, self.teacher = task.model, task.teacher
        place(self.model, self.device, channels_last=True)
        if self.teacher is not None:
            place(freeze(self.teacher), self.device, channels_last=True)
        self.width = width_of(data)
        width = probe(self.model, self.plain_batches, self.train_indices, self.width, "student")
        if self.teacher is not None:
            probe(self.teacher, self.plain_batches, self.train_indices, self.width, "teacher")
        example = self.plain_batches.inputs(self.train_indices[:2])
        self.objective = Objective(
            task.losses,
            self.model,
            self.teacher,
            example,
            classes=width,
            samples=len(data.split),
            visited=self.train_indices,
            teacher_width=0 if self.cache is None else self.cache.width,
        )
        self.teacher_wanted = any(loss.needs_teacher for loss in task.losses)
        groups = parameter_groups([self.model, self.objective.projectors], settings.optimizer.weight_decay)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = settings.optimizer.build(groups)
        self.peaks = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.scaler = torch.GradScaler(self.device.type, enabled=self.precision == "float16")
        self.epoch = self.position = 0
        self.best: dict[str, Tensor] | None = None
        self.best_accuracy: float | None = None
        self.best_epoch = 0
        self.seconds = 0.0
        self.sums = self._zero_sums()
        self.history: list[dict[str, Any]] = []

    def run(self, work: Path, identity: str) -> None:
        """Trains from the current position to the end, leaving checkpoints in `work`."""
        self.saved_at = time.monotonic()
        while not self._finished():
            started = time.monotonic()
            before = self.seconds
            for _ in self.remaining_steps():
                self.seconds = before + time.monotonic() - started
                if time.monotonic() - self.saved_at >= self.settings.checkpoint_every_s:
                    self._save(work, identity)
            self._end_epoch(before + time.monotonic() - started)
            self._save(work, identity)
            self.progress.epoch(self.history[-1])

    def remaining_steps(self) -> Iterator[int]:
        """Does the steps that the epoch still has, one per item."""
        self.model.train()
        if self.teacher is not None:
            verify_frozen(self.teacher)
        batches = self.batches.epoch(self.train_indices, self.seed, self.epoch, self.batch_size)
        label = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        for step in self.progress.track(range(self.position, self.steps), self.steps - self.position, label):
            loss = self._step(batches[step])
            self.position = step + 1
            if self.position % STEPS_BETWEEN_FINITE_CHECKS == 0 or self.position == self.steps:
                self._check_finite(loss)
            yield step

    def finish(self) -> dict[str, Any]:
        """Puts the best weights into the model, back on the CPU, and tells the story."""
        self.objective.close()
        if self.best is not None:
            self.model.load_state_dict(self.best)
        place(self.model, torch.device("cpu"), channels_last=False)
        self.model.eval()
        return {
            "epochs": copy.deepcopy(self.history),
            "best_epoch": self.best_epoch,
            "best_validation_accuracy": self.best_accuracy,
            "stopped_early": len(self.history) < self.settings.epochs,
            "steps_per_epoch": self.steps,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "device": self.device.type,
            "threads": torch.get_num_threads(),
        }

    def state(self, identity: str) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "identity": identity,
            "threads": torch.get_num_threads(),
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            **{name: part.state_dict() for name, part in self._parts().items()},
            **{name: getattr(self, name) for name in RECORD},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        torch.set_rng_state(state["rng"])
        if state["rng_cuda"]:
            torch.cuda.set_rng_state_all(state["rng_cuda"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        for name in RECORD:
            setattr(self, name, state[name])
        self.sums = self.sums.to(self.device)

    def _parts(self) -> dict[str, Any]:
        """What has a state of its own."""
        projectors = self.objective.projectors
        return {"model": self.model, "projectors": projectors, "optimizer": self.optimizer, "scaler": self.scaler}

    def _zero_sums(self) -> Tensor:
        return torch.zeros(1 + len(self.objective.names), dtype=torch.float64, device=self.device)

    def _finished(self) -> bool:
        patience = self.settings.patience
        waited = len(self.history) - self.best_epoch if self.history else 0
        return self.epoch >= self.settings.epochs or (patience is not None and waited >= patience)

    def _step(self, rows: Any) -> Tensor:
        """One optimisation step on the samples `rows`; returns the total loss."""
        step, steps = self.epoch * self.steps + self.position, self.settings.epochs * self.steps
        factor = self.settings.schedule.factor(step, steps)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        variant = self.epoch if self.cache is None else self.epoch % self.cache.crops
        inputs = self.batches.inputs(rows, variant)  # (B, C, H, W), or twice (B, T)
        labels = self.batches.labels(rows)  # (B,)
        with autocast(self.precision, self.device):
            teacher = self._teacher_logits(inputs, rows, variant)  # (B, K)
            student = self.batches.rows(self.model(*inputs), inputs)  # (B, K)
        samples, mask = from_numpy(rows).to(self.device), self.batches.mask(inputs)  # (B,), (B, T)
        total, terms = self.objective(student, labels, teacher, samples=samples, mask=mask, progress=step / steps)
        self.optimizer.zero_grad()
        cast(Any, self.scaler.scale(total)).backward()
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.sums += torch.cat([total.detach().reshape(1), terms])
        return total.detach()

    def _teacher_logits(self, inputs: tuple[Tensor, ...], rows: Any, variant: int) -> Tensor | None:
        if not self.teacher_wanted:
            return None
        online: Tensor | None = None
        if self.teacher is not None and (self.cache is None or self.objective.taps_teacher):
            with torch.no_grad():
                online = self.batches.rows(self.teacher(*inputs), inputs)
        if self.cache is None:
            return online
        return from_numpy(self.cache.logits(rows, variant)).to(self.device)

    def _check_finite(self, loss: Tensor) -> None:
        if not math.isfinite(float(loss)) or not math.isfinite(float(self.sums[0])):
            raise EdgekdError(
                f"the training diverged: the loss is {float(loss)}",
                where=f"epoch {self.epoch + 1}, step {self.position} of {self.steps}",
                hint="lower the learning rate, lengthen schedule.warmup_steps, or set clip_norm",
            )

    def _end_epoch(self, seconds: float) -> None:
        means: list[float] = cast(Any, self.sums / self.steps).tolist()
        accuracy = self._validate()
        row = {
            "epoch": self.epoch + 1,
            "train_loss": means[0],
            "terms": dict(zip(self.objective.names, means[1:], strict=True)),
            "validation_accuracy": accuracy,
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "seconds": seconds,
        }
        self.history.append(row)
        if accuracy is None or self.best_accuracy is None or accuracy > self.best_accuracy:
            self.best = {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}
            self.best_accuracy, self.best_epoch = accuracy, self.epoch + 1
        shown = "" if accuracy is None else f", validation accuracy {100 * accuracy:.2f} %"
        self.progress.note(
            f"epoch {self.epoch + 1}/{self.settings.epochs}: loss {means[0]:.4f}{shown} ({seconds:.0f} s)"
        )
        self.epoch, self.position, self.seconds, self.sums = self.epoch + 1, 0, 0.0, self._zero_sums()

    def _validate(self) -> float | None:
        if not len(self.validation_indices):
            return None
        found = logits_of(self.model, self.plain_batches, self.validation_indices, self.width)
        logits, labels = scored(self.data, found, self.validation_indices, self._centroids())
        right = logits.argmax(axis=1) == labels
        return int(right.sum()) / len(right)

    def _centroids(self) -> NDArray[np.float32] | None:
        """Where texts are embedded: the class centroids of a part of the training split that is the same each epoch."""
        if self.width is not None:
            return None
        rows = self.train_indices[:: max(1, len(self.train_indices) // CENTROID_SAMPLES)]
        embeddings = logits_of(self.model, self.plain_batches, rows, None)
        return centroids(embeddings, self.data.targets(rows), len(self.data.classes))

    def _save(self, work: Path, identity: str) -> None:
        write_state(work, self.state(identity))
        self.saved_at = time.monotonic()


@contextmanager
def _determined(seed: int, threads: int) -> Generator[None]:
    """Fixed random streams and thread count inside, the caller's outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with seeded(seed):
            yield
    finally:
        torch.set_num_threads(before)


def run(task: Task, work: Path, progress: Progress) -> dict[str, Any]:
    """See `edgekd.distill.train`."""
    identity = task.fingerprint()
    state = read_state(work)
    if state is None and has_state(work):
        progress.warn(f"the checkpoint in {work} is damaged: the training starts from the beginning")
    if state is not None and state["identity"] != identity:
        progress.warn(f"the checkpoint in {work} belongs to another training: this one starts from the beginning")
        state = None
    threads = task.settings.threads or (all_cores() if state is None else int(state["threads"]))
    with _determined(task.seed, threads):
        training = Training(task, progress)
        if state is not None:
            training.restore(state)
            progress.note(f"goes on at epoch {training.epoch + 1}, step {training.position} of {training.steps}")
        before = None if task.teacher is None else weights_digest(task.teacher)
        training.run(work, identity)
        if task.teacher is not None:
            verify_unchanged(task.teacher, before)
        return training.finish()
