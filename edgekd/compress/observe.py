"""Streams calibration batches through a program and keeps, per tensor, a histogram and nothing else.

One pass. A tensor is binned when it is made and dropped after its last reader, so that memory depends on the size of a
batch and on the number of tensors, never on the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from edgekd.compress.fold import Program
from edgekd.compress.histogram import BINS, Histogram
from edgekd.compress.moments import Fingerprint, Moments
from edgekd.compress.nodes import operator_type
from edgekd.compress.operators import MOVING
from edgekd.compress.tensors import as_numpy, as_tensor
from edgekd.compress.visit import Visitor, bounds
from edgekd.errors import CompressError

# Values binned at once: large enough that calls do not count, small enough (2 MB) to stay in a cache and off the peak.
CHUNK = 1 << 18


@dataclass(frozen=True)
class Observations:
    """What calibration saw.

    Attributes:
        histograms: by node name; an operator that only moves values shares its source's histogram.
        samples: number of samples seen.
    """

    histograms: Mapping[str, Histogram]
    samples: int


def observe(program: Program, batches: Iterable[tuple[NDArray[Any], ...]]) -> Observations:
    """Histograms of an image input and of every operator's output.

    Args:
        program: the folded network.
        batches: the network's inputs, batch by batch; B may differ, and for texts T. Padding would be observed as if
            it were text.

    Raises:
        CompressError: no samples, samples of another shape than the probe batch, or a tensor with NaN or infinity.
    """
    observer = _Observer(program.module)
    expected = _shape(program, program.example)
    samples = 0
    for batch in batches:
        found = _shape(program, batch)
        if found != expected:
            raise CompressError(
                "the calibration samples have another shape than the network's input",
                received=found,
                accepted=expected,
            )
        if len(batch[0]):
            observer.run(*(as_tensor(array) for array in batch))
            samples += len(batch[0])
    if samples == 0:
        raise CompressError("there are no calibration samples", hint="data: {calibration: {samples: 256}}")
    return Observations(observer.histograms, samples)


def _shape(program: Program, batch: tuple[Any, ...]) -> tuple[object, ...]:
    """Of a sample; a text's is its number of axes only."""
    if program.max_tokens is None and len(batch) == 1:
        return tuple(batch[0].shape[1:])
    return tuple(f"{array.ndim} axes" for array in batch)


def fingerprints(program: Program) -> dict[str, Fingerprint]:
    """(mean, std, minimum, maximum, count) on the probe batch, for the same tensors as `observe`, in float64.

    Texts are run one by one, as the files are: a tensor without a batch axis (of the positions) counts each time.
    """
    seen = _Fingerprints(program.module)
    texts = [] if program.max_tokens is None else [program.sample(index) for index in range(len(program.example[0]))]
    for inputs in texts or [program.example]:
        seen.run(*inputs)
    return {name: moments.fingerprint() for name, moments in seen.moments.items()}


class _Observer(Visitor):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.histograms: dict[str, Histogram] = {}

    def show(self, node: fx.Node, value: Tensor) -> None:
        source = moved_from(node)
        if source is not None and source in self.histograms:
            self.histograms[node.name] = self.histograms[source]
            return
        histogram = self.histograms.setdefault(node.name, Histogram())
        if not value.numel():
            return
        minimum, maximum = bounds(node, value)
        count(value, minimum, maximum, histogram)


def count(value: Tensor, minimum: float, maximum: float, histogram: Histogram) -> None:
    """Adds a tensor's values to a histogram, in chunks."""
    radius = histogram.reserve(minimum, maximum)
    scale = BINS / (2 * radius) if radius else 1.0
    flat = value.reshape(-1)
    scaled, bins = torch.empty(min(CHUNK, len(flat))), torch.empty(min(CHUNK, len(flat)), dtype=torch.int32)
    for chunk in cast("tuple[Tensor, ...]", cast(Any, flat).split(CHUNK)):
        size = len(chunk)
        # Floor before the shift: both are then exact in float32.
        torch.mul(chunk, scale, out=scaled[:size])
        bins[:size] = scaled[:size].floor_().add_(BINS // 2)
        histogram.counts += cast(Any, torch.bincount(bins[:size], minlength=BINS)).numpy()


def moved_from(node: object) -> str | None:
    """The node whose values this one shows: in another shape or order, a part of them, or with zeros around them.

    Integer kernels of such operators keep the scale, so the tensor shares its source's range.
    """
    if not isinstance(node, fx.Node) or node.op != "call_function" or operator_type(node) not in MOVING:
        return None
    if operator_type(node) == "pad" and not _pads_zeros(node):
        return None
    source = node.args[0]
    if not isinstance(source, fx.Node):
        return None
    # A chunk or split makes a tuple, which has no histogram of its own.
    makes_tuple = isinstance(source.meta.get("val"), (tuple, list))
    return moved_from(source) if makes_tuple else source.name


def _pads_zeros(node: fx.Node) -> bool:
    """pad(x, widths, mode, value)."""
    return node.args[2:3] in ((), ("constant",)) and node.args[3:4] in ((), (None,), (0,))


class _Fingerprints(Visitor):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.moments: dict[str, Moments] = {}

    def show(self, node: fx.Node, value: Tensor) -> None:
        self.moments.setdefault(node.name, Moments()).add(as_numpy(value))
