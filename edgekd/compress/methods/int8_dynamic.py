"""INT8 weights, fixed; INT8 activations, on a grid that the runtime takes from each token as it comes.

    y = s_w s_x (q_w . q_x) + b        with  s_x = max |x| / 127,  q_x = round(x / s_x)        for each token's vector x

(Yao et al. 2022, "ZeroQuant", https://arxiv.org/abs/2206.01861, token-wise quantization; a format's notes say what its
runtime makes of it.) No calibration is needed, and no outlier is clipped: transformers have outliers in few channels,
for which a range fixed in advance is too wide or too narrow. As no scale spans two tokens, neither padding nor the rest
of a batch changes an answer. The price is a pass over every activation for its bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from edgekd.compress.compressor import Batches, Compressor
from edgekd.compress.description import TensorRange
from edgekd.compress.rules import QuantizationRules
from edgekd.progress import Progress

if TYPE_CHECKING:
    from edgekd.compress.fold import Program


class Int8Dynamic(Compressor):
    """Linear layers with INT8 weights, activations quantized at run time: Yao et al. 2022.

    Attributes:
        per_channel: one weight scale per output channel; false: one per layer.
    """

    dynamic: ClassVar[bool] = True

    def activations(
        self, program: Program, batches: Batches, rules: QuantizationRules, progress: Progress
    ) -> tuple[dict[str, TensorRange], int]:
        """Those of the probe batch, by which tensors are found again; the calibration samples are not read."""
        from edgekd.compress.observe import fingerprints

        marks = fingerprints(program).items()
        return {
            name: TensorRange(
                low=min(mark[2], 0.0), high=max(mark[3], 0.0), minimum=mark[2], maximum=mark[3], fingerprint=mark
            )
            for name, mark in marks
        }, 0
