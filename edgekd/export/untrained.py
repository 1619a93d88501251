"""The untrained student, captured and exported in float in a process of its own.

A converter that dies there is a reason like any other, and neither random numbers nor a library's settings change for
the training that comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekd.compress.rules import QuantizationRules
from edgekd.errors import FILE_ERRORS
from edgekd.export import FORMATS, export
from edgekd.isolated import Died, isolated
from edgekd.models import ModelSection, load
from edgekd.scratch import scratch

if TYPE_CHECKING:
    from edgekd.compress.fold import Program
    from edgekd.recipe import Recipe

SAMPLES, TOKENS = 8, 16
Reasons = dict[str, Sequence[str]]
"""Format to the kind of error that its export ended with, and what it says."""


@dataclass(frozen=True)
class Sketch:
    """The student before its training.

    Attributes:
        section: its architecture alone.
        classes: number of its outputs.
        shape: of the images `(B, C, H, W)`, or of the token ids `(B, T)`, that it is called with.
        max_tokens: of a text; None for images.
        keep_float: patterns of which each must name one of its layers.
    """

    section: ModelSection
    classes: int
    shape: tuple[int, ...]
    max_tokens: int | None
    keep_float: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, classes: int) -> Sketch:
        """The recipe's student; one that will be pruned has all of its units yet."""
        data = recipe.data
        kept = () if recipe.compress is None else tuple(recipe.compress.keep_float)
        is_image = data.reader.kind == "image"
        shape = (data.channels, *data.image_size()) if is_image else (min(TOKENS, data.max_length),)
        limit = None if is_image else data.max_length
        return cls(ModelSection(model=recipe.student.model), classes, (SAMPLES, *shape), limit, kept)

    def key(self) -> dict[str, Any]:
        """What decides whether it can be exported."""
        source = self.section.model
        model = {"model": source.model_dump(mode="json"), "identity": source.identity(), "classes": self.classes}
        return {**model, "shape": self.shape, "max_tokens": self.max_tokens, "keep_float": self.keep_float}


def layers(sketch: Sketch) -> dict[str, str]:
    """Readable name of each of its operators by node name.

    Raises:
        CompressError: it cannot be captured.
        ExportError: torch died of it.
        ModelError: there is no such network.
    """
    return isolated("capturing the untrained network", _layers, sketch)


def _layers(sketch: Sketch) -> dict[str, str]:
    return _captured(sketch).layers()


def failures(sketch: Sketch, formats: Sequence[str]) -> Reasons:
    """What fails, tried in one process for all formats.

    Raises:
        Died: one of them killed it.
        ModelError: there is no such network.
    """
    try:
        return isolated("exporting the untrained network", _attempt, sketch, formats)
    except Died:
        raise
    except FILE_ERRORS as error:
        return {name: (type(error).__name__, str(error)) for name in formats}


def _attempt(sketch: Sketch, formats: Sequence[str]) -> Reasons:
    from edgekd.compress.select import requested

    program, found = _captured(sketch), Reasons()
    requested(sketch.keep_float, program.layers())
    for name in formats:
        with scratch() as folder:
            try:
                export(program, None, FORMATS.parse(name), folder, QuantizationRules())
            except FILE_ERRORS as error:
                found[name] = (type(error).__name__, str(error))
    return found


def _captured(sketch: Sketch) -> Program:
    import torch

    from edgekd.compress.fold import fold

    is_image = sketch.max_tokens is None
    drawn = torch.as_tensor(np.random.default_rng(0).standard_normal(sketch.shape, np.float32))
    tokens = torch.ones(sketch.shape, dtype=torch.int64)
    model = load(sketch.section, sketch.classes, sketch.shape[1] if is_image else 0, seed=0).eval()
    return fold(model, (drawn,) if is_image else (tokens, tokens), sketch.max_tokens)
