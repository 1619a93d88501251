"""Which figures stand against which: the timing that represents an artifact, and INT8 against float32."""

from __future__ import annotations

from typing import NamedTuple

from edgekd.report import units
from edgekd.report.document import Document
from edgekd.report.document.artifacts import Exported, Latency

SAME_SPEED = 0.05
"""Two medians within 5 % of each other are called equal: repeated runs of one file differ by that much."""


def _timed(artifact: Exported) -> list[Latency]:
    """What was timed; of texts at the first sequence length, which stands for the others."""
    every = artifact.measurement.latency if artifact.measurement else []
    return [row for row in every if row.p50_ms is not None and row.sequence_length == every[0].sequence_length]


def smallest_batch(document: Document) -> int | None:
    """The smallest batch size that was timed, over all artifacts; None when nothing was."""
    return min((row.batch_size for artifact in document.artifacts for row in _timed(artifact)), default=None)


def best_latency(artifact: Exported, batch_size: int | None) -> Latency | None:
    """The row of the thread count with the smallest median at `batch_size`; None when it was not timed there."""
    rows = [row for row in _timed(artifact) if row.batch_size == batch_size]
    return min(rows, key=lambda row: row.p50_ms or 0.0, default=None)


class SpeedUp(NamedTuple):
    """An INT8 file against the float32 file of the same network, format, runtime and target, each at its best threads.

    Attributes:
        int8_ms: median latency of the INT8 file.
        float32_ms: median latency of the float32 file.
        doubtful: something disturbed one of the two timings.
    """

    int8: Exported
    int8_ms: float
    float32_ms: float
    doubtful: bool

    @property
    def ratio(self) -> float:
        """How many times as fast as float32; below 1: slower."""
        return self.float32_ms / self.int8_ms

    @property
    def verdict(self) -> str:
        """`faster`, `equal` (within 5 %) or `slower`."""
        if self.ratio >= 1 + SAME_SPEED:
            return "faster"
        return "equal" if self.ratio >= 1 - SAME_SPEED else "slower"


def speed_ups(document: Document) -> list[SpeedUp]:
    """Every INT8 file that was timed together with its float32 counterpart, in the document's order."""
    batch = smallest_batch(document)
    floats = {_family(file): file for file in reversed(document.artifacts) if file.precision == "float32"}
    found: list[SpeedUp] = []
    for artifact in document.artifacts:
        other = floats.get(_family(artifact)) if artifact.precision == "int8" else None
        row, reference = best_latency(artifact, batch), best_latency(other, batch) if other else None
        if row and other and reference and row.p50_ms and reference.p50_ms:
            doubtful = any(file.measurement and file.measurement.warnings for file in (artifact, other))
            found.append(SpeedUp(artifact, row.p50_ms, reference.p50_ms, doubtful))
    return found


def _family(artifact: Exported) -> tuple[str, ...]:
    return artifact.target, artifact.model, artifact.format, artifact.runtime


def slower_than_float(document: Document) -> list[str]:
    """A sentence for every INT8 file that is not faster than its float32 counterpart."""
    sentences: list[str] = []
    for pair in (pair for pair in speed_ups(document) if pair.verdict != "faster"):
        what = "The INT8 file" if pair.int8.model == "student" else f"The INT8 file of the {pair.int8.model}"
        figures = f"{units.significant(pair.int8_ms)} ms against {units.significant(pair.float32_ms)} ms"
        state = "slower" if pair.verdict == "slower" else "no faster"
        doubt = " The timings are doubtful, for the reasons in its target's section." if pair.doubtful else ""
        sentences.append(
            f"{what} for {pair.int8.runtime} on {pair.int8.target} is {state} than float32 ({figures}): "
            f"the float32 file is the better choice there.{doubt}"
        )
    return sentences
