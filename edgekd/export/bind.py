"""Finds a file's tensors in the quantization description by their values, so that names and layouts do not matter.

Every exporter renames tensors, changes layouts (NCHW to NHWC) and fuses operators. What survives is a tensor's values
on the probe batch: mean, standard deviation, smallest, largest and number of values do not change when axes are
permuted. Two tensors are the same when these five agree to rounding. Where several described tensors agree with one
of the file's (a ReLU that cuts nothing off equals its input), the choice is harmless only if they were given the same
range; that is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgekd.compress.description import Description, TensorRange
from edgekd.compress.moments import Fingerprint
from edgekd.errors import ExportError

# Share of a tensor's spread. Other runtimes sum in another order: 1e-5 was seen after 50 layers; two different
# tensors of a trained network differ by 1e-2 and more in at least one of the four figures.
TOLERANCE = 1e-3

# Share of the range by which two candidates may differ and still mean the same 8-bit quantizer: one of its 255
# steps.
SAME_RANGE = 1 / 255


def distance(left: Fingerprint, right: Fingerprint) -> float:
    """Largest difference of the four figures, as a share of the spread.

    Infinite for another number of values, or where a figure is infinite.
    """
    if left[4] != right[4] or not np.all(np.isfinite((*left, *right))):
        return float("inf")
    spread = max(left[3] - left[2], right[3] - right[2], abs(left[0]), abs(right[0]), 1e-12)
    return max(abs(a - b) for a, b in zip(left[:4], right[:4], strict=True)) / spread


@dataclass(frozen=True)
class Step:
    """One operator of a file, as far as binding needs it.

    Attributes:
        inputs: tensors it reads that depend on the network's input; the first carries the values.
        outputs: tensors it makes.
        passes: it only moves values (or adds zeros): its output keeps its first input's range.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]
    passes: bool = False


@dataclass(frozen=True)
class Binding:
    """Which described tensors each of a file's tensors is.

    Attributes:
        ranges: file tensor to its range.
        names: file tensor to the described tensors (fx node names) with its values, nearest first; empty where the
            range was inherited.
    """

    ranges: dict[str, TensorRange] = field(default_factory=lambda: {})
    names: dict[str, list[str]] = field(default_factory=lambda: {})

    def require(self, tensors: Iterable[str], where: object) -> None:
        """Raises ExportError naming every tensor of a quantized operator that has no range."""
        missing = [name for name in tensors if name not in self.ranges]
        if missing:
            raise ExportError(
                "a quantized operator's tensor has no counterpart in the quantization description",
                where=where,
                received=", ".join(missing[:8]),
                accepted="the values of a tensor of the folded program on the probe batch",
                hint="keep the operator in float: compress: {keep_float: [...]}",
            )


def candidates(seen: Fingerprint, described: Mapping[str, TensorRange]) -> list[str]:
    """Described tensors with these values, nearest first."""
    found = sorted((distance(seen, item.fingerprint), name) for name, item in described.items())
    within = [(gap, name) for gap, name in found if gap <= TOLERANCE]
    # Rounding alone separates true twins; another tensor that happens to lie within the tolerance is further off.
    return [name for gap, name in within if gap <= max(10 * within[0][0], 1e-5)]


def bind(seen: Mapping[str, Fingerprint], steps: Sequence[Step], description: Description) -> Binding:
    """Ranges for a file's tensors.

    Args:
        seen: fingerprint of every tensor of the file, on the probe batch.
        steps: the file's operators, in order of execution.
        description: the quantization to apply.

    Raises:
        ExportError: a tensor equals several described ones that were given different ranges.
    """
    binding = Binding()
    for name, fingerprint in seen.items():
        found = candidates(fingerprint, description.activations)
        if found:
            binding.names[name] = found
            binding.ranges[name] = _agreed(name, found, description.activations)
    for step in steps:
        source = binding.ranges.get(step.inputs[0]) if step.passes and step.inputs else None
        for output in step.outputs:
            if source is not None and output not in binding.ranges:
                binding.ranges[output] = source
    for step in reversed(steps):
        known = [binding.ranges[name] for name in step.outputs if name in binding.ranges]
        if step.passes and step.inputs and known and step.inputs[0] not in binding.ranges:
            binding.ranges[step.inputs[0]] = known[0]
    return binding


def _agreed(tensor: str, names: list[str], described: Mapping[str, TensorRange]) -> TensorRange:
    first = described[names[0]]
    span = max(first.high - first.low, 1e-12)
    for name in names[1:]:
        other = described[name]
        if max(abs(other.low - first.low), abs(other.high - first.high)) > SAME_RANGE * span:
            raise ExportError(
                "two tensors have the same values on the probe batch, but different ranges",
                where=f"tensor {tensor} of the file",
                received=f"{names[0]} [{first.low:.6g}, {first.high:.6g}], {name} [{other.low:.6g}, {other.high:.6g}]",
                hint="probe with more samples: data: {calibration: {samples: ...}}",
            )
    return first
