"""The contract of a compression method, and where its methods are found."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from edgekd.compress.description import Description
from edgekd.compress.rules import QuantizationRules
from edgekd.family import Family, Method
from edgekd.progress import Progress

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

Batches = Callable[[], Iterator[tuple[NDArray[Any], ...]]]


class Compressor(Method):
    """Decides how a folded program becomes integers, once, for every file format.

    Attributes:
        dynamic: activations are quantized at run time, which not every format can.
    """

    dynamic: ClassVar[bool] = False

    @abstractmethod
    def compress(
        self,
        program: Program,
        batches: Batches,
        rules: QuantizationRules,
        keep_float: Sequence[str],
        progress: Progress,
    ) -> Description:
        """The quantization description.

        Args:
            program: the folded float network; not changed.
            batches: opens a pass over the calibration samples: the network's inputs, batch by batch.
            rules: what the target imposes.
            keep_float: patterns of layers that stay in float.
            progress: told how far the calibration is.

        Raises:
            CompressError: nothing to calibrate on, nothing to quantize, a pattern that matches no layer, or a layer
                that answers with NaN or infinity.
        """


METHODS = Family("edgekd.compress.methods", Compressor)
