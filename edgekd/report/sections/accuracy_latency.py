"""The plot of accuracy against latency."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Paragraph, Plot, Section
from edgekd.report.compare import best_latency, smallest_batch
from edgekd.report.document import Document
from edgekd.report.intervals import wilson
from edgekd.report.plots.scatter import Mark, scatter

TITLE = "Accuracy against latency"


def section(document: Document) -> Section | None:
    """One mark per file that has both figures; with none, the sentence that says so."""
    marks = _marks(document)
    if not marks:
        reasons = list(dict.fromkeys(a.reason("measurement") for a in document.artifacts if a.measurement is None))
        why = f" Not measured: {'; '.join(reasons)}." if reasons else ""
        text = f"No file has both a measured accuracy and a measured latency, so there is nothing to plot.{why}"
        return Section("accuracy-latency", TITLE, (Paragraph(text, "muted"),))
    left_out = len(document.artifacts) - len(marks)
    caption = (
        "Up and to the left is better. Filled discs are INT8, open squares float32; one colour per runtime. Bars are "
        f"95 % Wilson intervals of the accuracy. Batch {smallest_batch(document)}, each file at its best thread count."
    )
    if left_out:
        caption += f" {left_out} of {len(document.artifacts)} files are not shown: accuracy or latency not measured."
    if len(marks) == 1:
        caption += " Only one file has both figures, so nothing can be compared here."
    summary = "; ".join(
        f"{mark.label} {units.significant(mark.cost)} ms at {units.percent(mark.accuracy)}" for mark in marks
    )
    wide = scatter(marks, 900, 420, f"{TITLE}: {summary}", "wide")
    narrow = scatter(marks, 356, 440, f"{TITLE}: {summary}", "narrow")
    return Section("accuracy-latency", TITLE, (Plot(caption, wide, narrow, summary),))


def _marks(document: Document) -> list[Mark]:
    batch = smallest_batch(document)
    runtimes = list(dict.fromkeys(artifact.runtime for artifact in document.artifacts))
    timed = [(artifact, best_latency(artifact, batch), artifact.accuracy) for artifact in document.artifacts]
    timed = [(artifact, row, accuracy) for artifact, row, accuracy in timed if row and accuracy]
    several = len({artifact.target for artifact, _, _ in timed}) > 1
    marks: list[Mark] = []
    for artifact, row, accuracy in timed:
        if row and accuracy and row.p50_ms:
            label = f"{artifact.label}, {artifact.target}" if several else artifact.label
            interval = wilson(accuracy.value, accuracy.samples)
            int8, series = artifact.precision == "int8", runtimes.index(artifact.runtime)
            marks.append(Mark(row.p50_ms, accuracy.value, *interval, label, int8, series))
    return marks
