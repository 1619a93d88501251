"""The contract of a compression method, and where its methods are found."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from edgekd.compress.description import TensorRange
from edgekd.compress.rules import QuantizationRules
from edgekd.family import Family, Method
from edgekd.progress import Progress

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

Batches = Callable[[], Iterator[tuple[NDArray[Any], ...]]]


class Compressor(Method):
    """Decides how a folded program's activations become integers, once, for every file format.

    Attributes:
        dynamic: activations are quantized at run time, which not every format can.
        per_channel: one weight scale per output channel; false: one per layer.
    """

    dynamic: ClassVar[bool] = False
    per_channel: bool = True

    @abstractmethod
    def activations(
        self, program: Program, batches: Batches, rules: QuantizationRules, progress: Progress
    ) -> tuple[dict[str, TensorRange], int]:
        """The range of every activation tensor by node name, and the number of samples that it was chosen on.

        The arguments are those of `edgekd.compress.compress`.
        """


METHODS = Family("edgekd.compress.methods", Compressor)
