"""What was timed on one target: each file at its best thread count, and every setting folded away."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Block, Bullets, Cell, Details, Paragraph, Row, columns, table
from edgekd.report.cells import file, missing, number
from edgekd.report.compare import SpeedUp, best_latency
from edgekd.report.document.artifacts import Exported, Latency, Measurement
from edgekd.report.document.parts import NO_REASON

SUMMARY = columns("", "Threads|p50 ms|Samples per second|Against float32|Cold start, ms|Peak memory above runtime")
EVERY = "Batch|Threads|Runs|p50 ms|p90 ms|p99 ms|Mean ms|Std ms|Samples per second|Others' busy cores"
TOKENS = "Tokens|"


def blocks(target: str, files: list[Exported], pairs: list[SpeedUp], batch: int | None) -> list[Block]:
    """The tables of what was timed, and a sentence for what was not."""
    timed = [(artifact, artifact.measurement) for artifact in files if artifact.measurement]
    found: list[Block] = []
    if timed:
        rows = (_summary(artifact, measurement, pairs, batch) for artifact, measurement in timed)
        foot = _footnote(timed, batch)
        found.append(table(f"{target}: latency and memory", SUMMARY, rows, cards=True, foot=foot))
        settings = [(artifact, row) for artifact, measurement in timed for row in measurement.latency]
        if settings:
            is_text = any(row.sequence_length is not None for _, row in settings)
            every = [(Cell(artifact.label), *_setting(row, is_text)) for artifact, row in settings]
            caption = f"atency at every {'sequence length, ' if is_text else ''}batch size and thread count"
            whole = table(f"{target}: l{caption}", columns("", TOKENS + EVERY if is_text else EVERY), every)
            found.append(Details(f"L{caption} ({len(every)} settings)", (whole,)))
    doubts = tuple(f"{artifact.label}: {text}" for artifact, measurement in timed for text in measurement.warnings)
    return [*found, *([Bullets(doubts, "warn")] if doubts else []), *_untimed(files)]


def _footnote(timed: list[tuple[Exported, Measurement]], batch: int | None) -> str:
    machines = sorted({measurement.cpu for _, measurement in timed if measurement.cpu})
    where = f"Measured on {', '.join(machines)}, " if machines else "Measured "
    at = "" if batch is None else f"at batch {batch}, "
    lengths = {measurement.latency[0].sequence_length for _, measurement in timed if measurement.latency}
    for length in sorted(length for length in lengths if length is not None):
        at += f"{length} tokens, "
    return f"{where}{at}each file at its best thread count, one runtime per process."


def _summary(artifact: Exported, measurement: Measurement, pairs: list[SpeedUp], batch: int | None) -> Row:
    row = best_latency(artifact, batch)
    if row is None:
        timing = [missing(f"not timed at batch {batch}")] * 4
    else:
        reason = row.reason or NO_REASON
        timing = [
            Cell(units.integer(row.threads)),
            number(row.p50_ms, units.significant, reason),
            number(row.throughput_per_s, units.significant, reason),
            _against(artifact, pairs),
        ]
    memory = measurement.peak_rss_above_runtime_bytes
    return (
        file(artifact),
        *timing,
        number(measurement.cold_start_ms, units.significant, measurement.cold_start_reason or NO_REASON),
        number(memory, units.size, measurement.peak_rss_reason or NO_REASON),
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


def _setting(row: Latency, is_text: bool) -> list[Cell]:
    reason = row.reason or NO_REASON
    times = (row.p50_ms, row.p90_ms, row.p99_ms, row.mean_ms, row.std_ms, row.throughput_per_s)
    tokens = [number(row.sequence_length, units.integer, "not a text")] if is_text else []
    return [
        *tokens,
        Cell(units.integer(row.batch_size)),
        Cell(units.integer(row.threads)),
        number(row.runs, units.integer, reason),
        *(number(value, units.significant, reason) for value in times),
        number(row.others_busy_cores, lambda cores: f"{cores:.2f}", row.others_busy_reason or NO_REASON),
    ]


def _untimed(files: list[Exported]) -> list[Block]:
    reasons: dict[str, list[str]] = {}
    for artifact in files:
        if artifact.measurement is None:
            reasons.setdefault(artifact.reason("measurement"), []).append(artifact.label)
    whose = {reason: "all files" if len(found) == len(files) else ", ".join(found) for reason, found in reasons.items()}
    return [
        Paragraph(f"Latency and memory of {names}: not measured: {reason}.", "muted") for reason, names in whose.items()
    ]
