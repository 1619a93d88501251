"""INT8 weights and activations, ranges fixed by calibration: post-training static quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgekd.compress.compressor import Batches, Compressor
from edgekd.compress.description import TensorRange
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

    def activations(
        self, program: Program, batches: Batches, rules: QuantizationRules, progress: Progress
    ) -> tuple[dict[str, TensorRange], int]:
        """One pass over the samples for the histograms, then one range per tensor."""
        from edgekd.compress.observe import fingerprints, observe

        seen = observe(program, progress.track(batches(), None, "calibrate: batches"))
        marks = fingerprints(program)
        symmetric = rules.activations == "symmetric"
        chosen: dict[int, tuple[float, float]] = {}
        found: dict[str, TensorRange] = {}
        for name, histogram in progress.track(seen.histograms.items(), len(seen.histograms), "calibrate: ranges"):
            if id(histogram) not in chosen:
                chosen[id(histogram)] = self.ranges.choose(histogram, symmetric=symmetric)
            low, high = chosen[id(histogram)]
            found[name] = TensorRange(
                low=low, high=high, minimum=histogram.minimum, maximum=histogram.maximum, fingerprint=marks[name]
            )
        return found, seen.samples
