"""The contract of a file format, and where its methods are found."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from edgekd.artifact import Precision, Tensor
from edgekd.family import Family, Method

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules

PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


@dataclass(frozen=True)
class Exported:
    """What a format wrote.

    Attributes:
        entry: the file that the runtime opens, relative to the folder.
        inputs: name, dtype, shape (null: free) and layout of every input.
        outputs: the same of every output.
        notes: facts worth telling. `operators`: the operator types of the file, sorted. For INT8 also
            `integer_kernels` and `float_kernels`: operator type to count, as the runtime executes the file where that
            runtime is installed here, and as the file says where it is not (`kernels_seen_in` says which).
    """

    entry: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    notes: dict[str, Any] = field(default_factory=lambda: {})


class Format(Method):
    """A file format: places the description's quantizers where its runtime fuses them, and writes the files.

    Attributes:
        precisions: what it can express.
        runtime: what runs it: a name among the benchmark agent's runtimes.
        stand_in: the runtime that evaluates the file where its own exists only on the device; the artifact then carries
            the agent along. None: its own runtime can be installed anywhere.
        dynamic: it can have activations quantized at run time.
        dynamic_group: where it is, a layer's inputs are quantized in groups of so many, which must divide their number.
        activations: the integer grid that the format quantizes activations to, for which ranges are chosen.
    """

    precisions: ClassVar[tuple[Precision, ...]] = PRECISIONS
    runtime: ClassVar[str] = ""
    stand_in: ClassVar[str | None] = None
    dynamic: ClassVar[bool] = True
    dynamic_group: ClassVar[int] = 1
    activations: ClassVar[Literal["asymmetric", "symmetric"]] = "asymmetric"

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Versions of the tools that decide the file's bytes; imports none of them."""

    @abstractmethod
    def export(
        self, program: Program, description: Description | None, folder: Path, rules: QuantizationRules
    ) -> Exported:
        """Writes the artifact's files into an existing empty folder.

        Args:
            program: the folded float network.
            description: its quantization; None writes the float32 variant.
            folder: where the files go.
            rules: what the target imposes on integers.

        Raises:
            ExportError: the format cannot express the network, or what came out does not run in integers.
            MissingBackend: the format's tools are not installed.
        """


FORMATS: Family[Format] = Family("edgekd.export.formats", Format)


def weight_bits(description: Description, rules: QuantizationRules) -> Literal[7, 8]:
    """The narrower of what was described and what the target bears; activation ranges do not depend on it."""
    return 7 if 7 in (description.weight_bits, rules.weight_bits) else 8


def dynamic_notes(description: Description, scales: str, left: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a manifest says about a file of this description beyond its kernels; nothing for plain static INT8."""
    notes: dict[str, Any] = {}
    if description.dynamic:
        notes["activations"] = f"quantized at run time, {scales}"
    if description.embeddings:
        tables = [description.layers[name] for name in description.embeddings]
        notes["int8_tables"] = [name for name in tables if name not in (left or {})]
    return notes
