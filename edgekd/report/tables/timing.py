"""What was timed on one target: each file at its best thread count, and every setting folded away."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Bullets, Cell, Column, Details, Group, Paragraph, Table, missing
from edgekd.report.compare import SpeedUp, best_latency
from edgekd.report.document import NO_REASON, Exported, Latency, Measurement
from edgekd.report.tables import cells

SUMMARY = (
    Column("", numeric=False),
    Column("Threads"),
    Column("p50 ms"),
    Column("Samples per second"),
    Column("Against float32"),
    Column("Cold start, ms"),
    Column("Peak memory above runtime"),
)
EVERY = (
    Column("", numeric=False),
    Column("Batch"),
    Column("Threads"),
    Column("Runs"),
    Column("p50 ms"),
    Column("p90 ms"),
    Column("p99 ms"),
    Column("Mean ms"),
    Column("Std ms"),
    Column("Samples per second"),
    Column("Others' busy cores"),
)


def blocks(target: str, files: list[Exported], pairs: list[SpeedUp], batch: int | None) -> list[Block]:
    """The tables of what was timed, and a sentence for what was not."""
    timed = [(artifact, artifact.measurement) for artifact in files if artifact.measurement]
    found: list[Block] = []
    if timed:
        rows = tuple(_summary(artifact, measurement, pairs, batch) for artifact, measurement in timed)
        footnote = _footnote(timed, batch)
        found.append(Table(f"{target}: latency and memory", SUMMARY, (Group(rows),), cards=True, footnote=footnote))
        every = tuple(
            (Cell(artifact.label), *_setting(row)) for artifact, measurement in timed for row in measurement.latency
        )
        if every:
            table = Table(f"{target}: latency at every batch size and thread count", EVERY, (Group(every),))
            found.append(Details(f"Latency at every batch size and thread count ({len(every)} settings)", (table,)))
    doubts = tuple(f"{artifact.label}: {text}" for artifact, measurement in timed for text in measurement.warnings)
    if doubts:
        found.append(Bullets(doubts, "warn"))
    return [*found, *_untimed(files)]


def _footnote(timed: list[tuple[Exported, Measurement]], batch: int | None) -> str:
    machines = sorted({measurement.cpu for _, measurement in timed if measurement.cpu})
    where = f"Measured on {', '.join(machines)}, " if machines else "Measured "
    at = "" if batch is None else f"at batch {batch}, "
    return f"{where}{at}each file at its best thread count, one runtime per process."


def _summary(artifact: Exported, measurement: Measurement, pairs: list[SpeedUp], batch: int | None) -> tuple[Cell, ...]:
    row = best_latency(artifact, batch)
    if row is None:
        timing = [missing(f"not timed at batch {batch}")] * 4
    else:
        timing = [
            Cell(units.integer(row.threads)),
            cells.number(row.p50_ms, units.milliseconds, row.reason or NO_REASON),
            cells.number(row.throughput_per_s, units.significant, row.reason or NO_REASON),
            _against(artifact, pairs),
        ]
    memory = measurement.peak_rss_above_runtime_bytes
    return (
        cells.file(artifact),
        *timing,
        cells.number(measurement.cold_start_ms, units.milliseconds, measurement.cold_start_reason or NO_REASON),
        cells.number(memory, units.size, measurement.peak_rss_reason or NO_REASON),
    )


def _against(artifact: Exported, pairs: list[SpeedUp]) -> Cell:
    if artifact.precision == "float32":
        return Cell("is float32", tone="muted")
    pair = next((pair for pair in pairs if pair.int8 is artifact), None)
    if pair is None:
        return missing("no float32 file of it was timed")
    if pair.verdict == "faster":
        return Cell(units.ratio(pair.ratio))
    return Cell(units.ratio(pair.ratio), note="slower" if pair.verdict == "slower" else "not faster", tone="warn")


def _setting(row: Latency) -> list[Cell]:
    reason = row.reason or NO_REASON
    times = (row.p50_ms, row.p90_ms, row.p99_ms, row.mean_ms, row.std_ms)
    return [
        Cell(units.integer(row.batch_size)),
        Cell(units.integer(row.threads)),
        cells.number(row.runs, units.integer, reason),
        *(cells.number(value, units.milliseconds, reason) for value in times),
        cells.number(row.throughput_per_s, units.significant, reason),
        cells.number(row.others_busy_cores, lambda cores: f"{cores:.2f}", row.others_busy_reason or NO_REASON),
    ]


def _untimed(files: list[Exported]) -> list[Block]:
    reasons: dict[str, list[str]] = {}
    for artifact in files:
        if artifact.measurement is None:
            reasons.setdefault(artifact.reason("measurement"), []).append(artifact.label)
    return [
        Paragraph(
            f"Latency and memory of {'all files' if len(labels) == len(files) else ', '.join(labels)}: "
            f"not measured: {reason}.",
            "muted",
        )
        for reason, labels in reasons.items()
    ]
