"""The total loss of a training: its terms, their projectors and the layers they tap."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.distill.attention_layers import head_counts
from edgekd.distill.layer_names import require_layers, resolved
from edgekd.distill.loss import Layers, Loss, Outputs, Shape, Shapes
from edgekd.distill.ramp import mean_of, value_at
from edgekd.distill.taps import Taps, layers_of
from edgekd.errors import ModelError, RecipeError
from edgekd.models.modules import evaluating


def term_names(losses: Sequence[Loss]) -> list[str]:
    """A distinct name per loss: `hint`, `hint_2`, ..."""
    names: list[str] = []
    for loss in losses:
        count = sum(earlier.method_name == loss.method_name for earlier in losses[: len(names)])
        names.append(loss.method_name if count == 0 else f"{loss.method_name}_{count + 1}")
    return names


class Objective:
    """`sum_i weight_i * loss_i` of a batch.

    Attributes:
        names: one per term.
        projectors: one module per term that learns one; trained with the student, dropped at the end.

    Args:
        losses: the terms.
        student: the network that learns; it is tapped until `close`.
        teacher: the frozen network, or None.
        example: an input batch, from which the tapped layers' shapes are found: `model(*example)` runs.
        classes: number of classes.
        samples: number of samples in the data set.
        visited: positions of those that the training visits; None: all.
        teacher_width: width of the teacher's outputs where there is no teacher network but a cache; 0 takes `classes`.

    Raises:
        ModelError: a tapped layer does not exist or has the wrong shape.
        RecipeError: there are no losses, or all their weights are 0.
    """

    def __init__(
        self,
        losses: Sequence[Loss],
        student: nn.Module,
        teacher: nn.Module | None,
        example: Sequence[Tensor],
        *,
        classes: int,
        samples: int = 0,
        visited: NDArray[np.int64] | None = None,
        teacher_width: int = 0,
    ) -> None:
        if not any(mean_of(loss.weight) for loss in losses):
            raise RecipeError("there is nothing to learn from", where="losses", accepted="a loss of weight above 0")
        layers = Layers(list(layers_of(student)), [] if teacher is None else list(layers_of(teacher)))
        self.names = term_names(losses)
        self._losses = losses = [resolved(loss, term, layers) for loss, term in zip(losses, self.names, strict=True)]
        pairs = [loss.taps() for loss in losses]
        teacher_layers = [name for _, names in pairs for name in names]
        precise = [found for loss, found in zip(losses, pairs, strict=True) if not loss.takes_half]
        self._in_float32 = [list(dict.fromkeys(name for found in precise for name in found[side])) for side in (0, 1)]
        if teacher_layers and teacher is None:
            raise ModelError(
                "these losses look inside the teacher, which is not there",
                received=", ".join(name for name, (_, names) in zip(self.names, pairs, strict=True) if names),
                hint="give the recipe a teacher section",
            )
        for loss, term in zip(losses, self.names, strict=True):
            require_layers(loss, term, layers)
        with ExitStack() as stack:
            self._student_taps = stack.enter_context(Taps(student, [n for names, _ in pairs for n in names], "student"))
            self._teacher_taps = None
            if teacher is not None and teacher_layers:
                self._teacher_taps = stack.enter_context(Taps(teacher, teacher_layers, "teacher"))
            student_shapes, student_width = _shapes(student, self._student_taps, example)
            teacher_shapes: dict[str, Shape] = {}
            if teacher is not None:
                teacher_shapes, teacher_width = _shapes(teacher, self._teacher_taps, example)
            shapes = Shapes(
                student_shapes,
                teacher_shapes,
                classes,
                samples,
                student_width,
                teacher_width or classes,
                head_counts(student),
                {} if teacher is None else head_counts(teacher),
                visited,
            )
            built = {name: loss.build(shapes) for name, loss in zip(self.names, losses, strict=True)}
            found = {name: module for name, module in built.items() if module is not None}
            self.projectors = nn.ModuleDict(found).to(example[0].device)
            self._projector_of = dict(self.projectors.items())
            self._open = stack.pop_all()

    @property
    def taps_teacher(self) -> bool:
        """Whether the teacher must run online because a loss looks at its layers."""
        return self._teacher_taps is not None

    def __call__(
        self,
        student: Tensor,
        labels: Tensor,
        teacher: Tensor | None,
        *,
        samples: Tensor | None = None,
        mask: Tensor | None = None,
        progress: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """The total loss and the `(terms,)` unweighted losses, of the batch that the networks saw last."""
        outputs = Outputs(
            student.float(),
            labels,
            None if teacher is None else teacher.float(),
            samples=samples,
            mask=mask,
            progress=progress,
        )
        native = [{} if taps is None else taps.values for taps in (self._student_taps, self._teacher_taps)]
        precise = [_float32(values, names) for values, names in zip(native, self._in_float32, strict=True)]
        total = torch.zeros((), device=student.device)
        terms: list[Tensor] = []
        for name, loss in zip(self.names, self._losses, strict=True):
            student_taps, teacher_taps = native if loss.takes_half else precise
            projector = self._projector_of.get(name)
            seen = replace(outputs, student_taps=student_taps, teacher_taps=teacher_taps, projector=projector)
            # Comparisons are float32 also where the caller's step is not: squares of 1e3 overflow a float16.
            with torch.autocast(student.device.type, enabled=False):
                term = loss(seen)
            total = total + value_at(loss.weight, progress) * term
            terms.append(term.detach())
        return total, torch.stack(terms)

    def close(self) -> None:
        """Removes the taps."""
        self._open.close()


def _shapes(model: nn.Module, taps: Taps | None, example: Sequence[Tensor]) -> tuple[dict[str, Shape], int]:
    """Shapes of the tapped outputs for `example`, and the width of the network's own."""
    with evaluating(model), torch.no_grad():
        output: object = model(*example)
    if not isinstance(output, Tensor):
        raise ModelError(
            "a network puts out something else than one tensor of logits",
            received=type(output).__name__,
            accepted="a tensor (B, K), or (B, T, K) of tokens",
            hint="return the logits alone, e.g. by a module around the network",
        )
    values = {} if taps is None else taps.values
    if silent := [name for name in ([] if taps is None else taps.layers) if name not in values]:
        raise ModelError("a tapped layer is not used in the forward pass", received=", ".join(silent))
    return {name: tuple(value.shape) for name, value in values.items()}, int(output.shape[-1])


def _float32(taps: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    return {name: taps[name].float() for name in names}
