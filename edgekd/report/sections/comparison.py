"""Teacher, baselines, student and every artifact side by side."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Cell, Column, Group, Section, Table, missing
from edgekd.report.compare import best_latency, smallest_batch
from edgekd.report.document import NO_REASON, Accuracy, Document, Exported, Network
from edgekd.report.tables import cells

ROLES = {"teacher": "Teacher", "student": "Student, distilled", "student_alone": "Student, trained alone"}
ORDER = ("teacher", "student_alone", "student")
IN_FRAMEWORK = "only exported files are timed, each in its own runtime"
COLUMNS = (
    Column("", numeric=False),
    Column("Parameters"),
    Column("MACs"),
    Column("Size"),
    Column("Accuracy"),
    Column("Agrees with teacher"),
    Column("p50 ms"),
    Column("p90 ms"),
    Column("p99 ms"),
    Column("Peak memory"),
)


def section(document: Document) -> Section | None:
    """One table, grouped by target; the networks in their training framework come first."""
    batch = smallest_batch(document)
    ranked = sorted(document.models, key=lambda item: ORDER.index(item.role) if item.role in ORDER else len(ORDER))
    groups = [Group(tuple(_network(document, network) for network in ranked), "Networks in torch")]
    for board in document.targets:
        files = [artifact for artifact in document.artifacts if artifact.target == board.name]
        files.sort(key=lambda artifact: artifact.model != "student")
        if files:
            title = board.name + (" (this machine)" if board.this_machine else " (not this machine)")
            groups.append(Group(tuple(_artifact(document, artifact, batch) for artifact in files), title))
    caption = "Everything that was made, on the same test split"
    table = Table(caption, COLUMNS, tuple(groups), cards=True, footnote=_footnote(batch))
    return Section("comparison", "Side by side", (table,))


def role(document: Document, network: Network) -> str:
    """How a network is called in the report."""
    if network.role == "student" and document.network("teacher") is None:
        return "Student"
    return ROLES.get(network.role, units.name(network.role))


def _footnote(batch: int | None) -> str:
    timing = "No file was timed." if batch is None else f"Latency at batch {batch}, each file at its best thread count."
    return (
        "MACs: multiply-accumulates of one sample. Under each accuracy: 95 % Wilson interval, because the test split "
        f"is finite. {timing} Peak memory is resident memory above the empty runtime. The accuracy of a file is that "
        "of the file itself, run as its target's section says."
    )


def _network(document: Document, network: Network) -> tuple[Cell, ...]:
    is_teacher = network.role == "teacher"
    return (
        Cell(role(document, network), note=network.name),
        cells.number(network.parameters, units.count, network.reason("parameters")),
        cells.number(network.macs, units.count, network.reason("macs")),
        cells.number(network.size_bytes, units.size, network.reason("size_bytes")),
        cells.accuracy(network.accuracy, network.reason("accuracy")),
        Cell("is the teacher", tone="muted") if is_teacher else _agreement(document, network, network.accuracy),
        *[missing(IN_FRAMEWORK)] * 4,
    )


def _agreement(document: Document, source: Network | Exported, accuracy: Accuracy | None) -> Cell:
    value = source.agreement_with_teacher
    no_teacher = document.network("teacher") is None
    reason = "the run has no teacher" if no_teacher else source.reason("agreement_with_teacher")
    return cells.number(value, lambda known: units.percent(known, accuracy.samples if accuracy else None), reason)


def _artifact(document: Document, artifact: Exported, batch: int | None) -> tuple[Cell, ...]:
    network = document.network(artifact.model)
    absent = f"the run lists no {artifact.model}"
    return (
        cells.file(artifact),
        cells.number(
            network.parameters if network else None, units.count, network.reason("parameters") if network else absent
        ),
        cells.number(network.macs if network else None, units.count, network.reason("macs") if network else absent),
        cells.number(artifact.size_bytes, units.size, artifact.reason("size_bytes")),
        cells.accuracy(artifact.accuracy, artifact.reason("accuracy")),
        _agreement(document, artifact, artifact.accuracy),
        *_timing(artifact, batch),
    )


def _timing(artifact: Exported, batch: int | None) -> list[Cell]:
    measurement = artifact.measurement
    if measurement is None:
        return [missing(artifact.reason("measurement"))] * 4
    row = best_latency(artifact, batch)
    memory = measurement.peak_rss_above_runtime_bytes
    peak = cells.number(memory, units.size, measurement.peak_rss_reason or NO_REASON)
    if row is None or row.p50_ms is None:
        return [missing(f"not timed at batch {batch}; its target's section has what was timed")] * 3 + [peak]
    threads = "1 thread" if row.threads == 1 else f"{row.threads} threads"
    tails = [cells.number(value, units.milliseconds, row.reason or NO_REASON) for value in (row.p90_ms, row.p99_ms)]
    return [Cell(units.milliseconds(row.p50_ms), note=threads), *tails, peak]
