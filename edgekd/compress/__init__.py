"""Compress: one quantization description per network, which every file format follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edgekd.backends import versions
from edgekd.compress.compressor import METHODS, Batches, Compressor
from edgekd.compress.description import Description
from edgekd.compress.rules import QuantizationRules
from edgekd.compress.select import select
from edgekd.family import OneOf
from edgekd.progress import Progress

if TYPE_CHECKING:
    from edgekd.compress.fold import Program


class CompressSection(BaseModel):
    """The `compress:` block of a recipe.

    Attributes:
        method: how the network becomes integers.
        keep_float: layers that stay in float: names as in the model (`layer1.0.conv1`, `classifier.*`), or node names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    method: Annotated[Compressor, OneOf(METHODS)] = Field(default_factory=lambda: METHODS.parse("int8_static"))
    keep_float: list[str] = Field(default_factory=list)


def compress(
    program: Program, batches: Batches, section: CompressSection, rules: QuantizationRules, progress: Progress
) -> Description:
    """Quantizes a folded program as the recipe and the target say.

    Args:
        program: the folded float network, see `edgekd.compress.fold.fold`; not changed.
        batches: opens a pass over the calibration samples: the network's inputs, batch by batch. Peak memory follows B.
        section: the recipe's block.
        rules: what the target imposes.
        progress: told how far it is.

    Raises:
        CompressError: nothing to calibrate on, nothing to quantize, a pattern that matches no layer, or a layer that
            answers with NaN or infinity.
    """
    method = section.method
    selection = select(program, section.keep_float, dynamic=method.dynamic)
    activations, samples = method.activations(program, batches, rules, progress)
    return Description(
        method=method.model_dump(mode="json"),
        weight_bits=rules.weight_bits,
        per_channel=method.per_channel,
        activations=activations,
        quantized=selection.quantized,
        kept_float=selection.kept_float,
        samples=samples,
        activation_grid=rules.activations,
        layers={**program.layers(), program.input: "input"},
        embeddings=selection.embeddings,
        dynamic=method.dynamic,
    )


def key(section: CompressSection, rules: QuantizationRules) -> dict[str, Any]:
    """Everything besides the network and the samples that decides the description."""
    return {
        "section": section.model_dump(mode="json"),
        "rules": rules.model_dump(mode="json"),
        "versions": versions("torch", "numpy"),
    }
