"""Teacher, baselines, student and every artifact side by side."""

from __future__ import annotations

from edgekd.report import cells, units
from edgekd.report.blocks import Cell, Group, Row, Section, Table, columns
from edgekd.report.cells import missing, number
from edgekd.report.compare import best_latency, smallest_batch
from edgekd.report.document import Document
from edgekd.report.document.artifacts import Exported
from edgekd.report.document.networks import Network
from edgekd.report.document.parts import NO_REASON

ROLES = {"teacher": "Teacher", "student": "Student, distilled", "student_alone": "Student, trained alone"}
ORDER = ("student_alone", "student")
"""These close the list; teachers and whatever came in between stand above them in the order of the run."""
IN_FRAMEWORK = "only exported files are timed, each in its own runtime"
COLUMNS = columns("", "Parameters|MACs|Size|Accuracy|Agrees with teacher|p50 ms|p90 ms|p99 ms|Peak memory")


def section(document: Document) -> Section | None:
    """One table, grouped by target; the networks in their training framework come first."""
    batch = smallest_batch(document)
    groups = [Group(tuple(_network(document, network) for network in ranked(document)), "Networks in torch")]
    for board in document.targets:
        files = [artifact for artifact in document.artifacts if artifact.target == board.name]
        files.sort(key=lambda artifact: artifact.model != "student")
        if files:
            title = board.name + (" (this machine)" if board.this_machine else " (not this machine)")
            groups.append(Group(tuple(_artifact(document, artifact, batch) for artifact in files), title))
    caption = "Everything that was made, on the same test split"
    return Section("comparison", "Side by side", (Table(caption, COLUMNS, tuple(groups), True, _footnote(batch)),))


def ranked(document: Document) -> list[Network]:
    """The networks in the order in which they are listed."""
    return sorted(document.models, key=lambda item: item.role in ORDER and 1 + ORDER.index(item.role))


def role(document: Document, network: Network) -> str:
    """How a network is called in the report."""
    if network.role == "student" and document.teacher is None:
        return "Student"
    return ROLES.get(network.role, units.name(network.role))


def _footnote(batch: int | None) -> str:
    timing = "No file was timed." if batch is None else f"Latency at batch {batch}, each file at its best thread count."
    return (
        "MACs: multiply-accumulates of one sample. Under each accuracy: 95 % Wilson interval, because the test split "
        f"is finite. {timing} Peak memory is resident memory above the empty runtime. The accuracy of a file is that "
        "of the file itself, run as its target's section says."
    )


def _network(document: Document, network: Network) -> Row:
    teacher = Cell("is the teacher", tone="muted") if network is document.teacher else None
    return (
        Cell(role(document, network), note=network.name),
        *_shape(network, network.role),
        *_scores(document, network, teacher),
        *[missing(IN_FRAMEWORK)] * 4,
    )


def _artifact(document: Document, artifact: Exported, batch: int | None) -> Row:
    shape = _shape(document.network(artifact.model), artifact.model)
    scores = _scores(document, artifact)
    return cells.file(artifact), *shape, *scores, *_timing(artifact, batch)


def _shape(network: Network | None, name: str) -> tuple[Cell, Cell]:
    if network is None:
        return missing(f"the run lists no {name}"), missing(f"the run lists no {name}")
    parameters = number(network.parameters, units.count, network.reason("parameters"))
    macs = number(network.macs, units.count, network.reason("macs"))
    return parameters, macs if network.macs_tokens is None else macs._replace(note=f"{network.macs_tokens} tokens")


def _scores(document: Document, source: Network | Exported, teacher: Cell | None = None) -> Row:
    """Size, accuracy, and agreement with the teacher."""
    accuracy, no_teacher = source.accuracy, document.teacher is None
    reason = "the run has no teacher" if no_teacher else source.reason("agreement_with_teacher")
    samples = accuracy.samples if accuracy else None
    agreement = number(source.agreement_with_teacher, lambda known: units.percent(known, samples), reason)
    size = number(source.size_bytes, units.size, source.reason("size_bytes"))
    return size, cells.accuracy(accuracy, source.reason("accuracy")), teacher or agreement


def _timing(artifact: Exported, batch: int | None) -> list[Cell]:
    measurement = artifact.measurement
    if measurement is None:
        return [missing(artifact.reason("measurement"))] * 4
    memory = measurement.peak_rss_above_runtime_bytes
    peak = number(memory, units.size, measurement.peak_rss_reason or NO_REASON)
    row = best_latency(artifact, batch)
    if row is None or row.p50_ms is None:
        return [missing(f"not timed at batch {batch}; its target's section has what was timed")] * 3 + [peak]
    threads = "1 thread" if row.threads == 1 else f"{row.threads} threads"
    tails = [number(value, units.significant, row.reason or NO_REASON) for value in (row.p90_ms, row.p99_ms)]
    return [Cell(units.significant(row.p50_ms), note=threads), *tails, peak]
