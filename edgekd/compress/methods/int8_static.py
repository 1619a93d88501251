"""INT8 weights and activations, ranges fixed by calibration: post-training static quantization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgekd.compress.compressor import Batches, Compressor
from edgekd.compress.description import Description, TensorRange
from edgekd.compress.ranges_family import RANGES, Ranges
from edgekd.compress.rules import QuantizationRules
from edgekd.family import OneOf
from edgekd.progress import Progress

if TYPE_CHECKING:
    from edgekd.compress.fold import Program


class Int8Static(Compressor):
    """Weights symmetric, activations on one grid per tensor (Nagel et al. 2021, "A white paper on neural network
    quantization", section 3).

    Attributes:
        ranges: how an activation's clipping range is chosen from its histogram.
        per_channel: one weight scale per output channel; false: one per layer.
    """

    ranges: Annotated[Ranges, OneOf(RANGES)] = Field(default_factory=lambda: RANGES.parse("entropy"))
    per_channel: bool = True

    def compress(
        self,
        program: Program,
        batches: Batches,
        rules: QuantizationRules,
        keep_float: Sequence[str],
        progress: Progress,
    ) -> Description:
        """One pass over the samples for the histograms, then one range per tensor."""
        from edgekd.compress.observe import fingerprints, observe
        from edgekd.compress.select import select

        selection = select(program, keep_float)
        seen = observe(program, progress.track(batches(), None, "calibrate: batches"))
        marks = fingerprints(program)
        symmetric = rules.activations == "symmetric"
        chosen: dict[int, tuple[float, float]] = {}
        activations: dict[str, TensorRange] = {}
        for name, histogram in progress.track(seen.histograms.items(), len(seen.histograms), "calibrate: ranges"):
            if id(histogram) not in chosen:
                chosen[id(histogram)] = self.ranges.choose(histogram, symmetric=symmetric)
            low, high = chosen[id(histogram)]
            activations[name] = TensorRange(
                low=low, high=high, minimum=histogram.minimum, maximum=histogram.maximum, fingerprint=marks[name]
            )
        return Description(
            method=self.model_dump(mode="json"),
            weight_bits=rules.weight_bits,
            per_channel=self.per_channel,
            activations=activations,
            quantized=selection.quantized,
            kept_float=selection.kept_float,
            samples=seen.samples,
            activation_grid=rules.activations,
            layers={**program.layers(), program.input: "input"},
            embeddings=selection.embeddings,
        )
