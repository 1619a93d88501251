"""Training: loss and validation accuracy per epoch."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Column, Figures, Group, Paragraph, Plot, Section, Table, missing
from edgekd.report.document import Document, Epoch, Network
from edgekd.report.plots.curves import Curve, curves
from edgekd.report.sections.comparison import role

SERIES = {"teacher": 0, "student": 1, "student_alone": 2}
COLUMNS = (
    Column("", numeric=False),
    Column("Epochs"),
    Column("Best epoch"),
    Column("Best validation accuracy"),
    Column("Final training loss"),
    Column("Terms of the final loss"),
    Column("Time"),
)
ACCURACY = "Validation accuracy per epoch"
LOSS = "Training loss per epoch; networks trained on different losses have different levels, so compare shapes only"
UNRECORDED = "the training loop did not record it"


def section(document: Document) -> Section | None:
    """Two plots and a table of every network that was trained in this run."""
    trained = [(network, network.history) for network in document.models if network.history]
    if not trained:
        return Section("training", "Training", (Paragraph("No network was trained in this run.", "muted"),))
    plots = [
        _plot(trained, "validation accuracy, %", lambda epoch: _percent(epoch.validation_accuracy), ACCURACY),
        _plot(trained, "training loss", lambda epoch: epoch.train_loss, LOSS),
    ]
    drawn = tuple(plot for plot in plots if isinstance(plot, Plot))
    blocks: list[Block] = [plot for plot in plots if not isinstance(plot, Plot)]
    blocks += [Figures(drawn)] if drawn else []
    rows = tuple(_row(role(document, network), network.name, history) for network, history in trained)
    footnote = "Selection is on the validation split; the test split is scored once, at the end."
    blocks.append(Table("Training in figures", COLUMNS, (Group(rows),), cards=True, footnote=footnote))
    idle = [role(document, network) for network in document.models if not network.history]
    if idle:
        blocks.append(Paragraph(f"Not trained in this run: {', '.join(idle)}.", "muted"))
    return Section("training", "Training", tuple(blocks))


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _plot(
    trained: list[tuple[Network, list[Epoch]]], axis: str, value: Callable[[Epoch], float | None], caption: str
) -> Plot | Paragraph:
    lines: list[Curve] = []
    for network, history in trained:
        found = [(float(epoch.epoch), value(epoch)) for epoch in history]
        points = tuple((x, y) for x, y in found if y is not None)
        if points:
            lines.append(Curve(units.name(network.role), points, SERIES.get(network.role, 3)))
    if not lines:
        return Paragraph(f"{caption}: not measured: {UNRECORDED}.", "muted")
    ends = "; ".join(f"{line.name} {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines)
    alone = " Each curve has one epoch, drawn as a dot." if all(len(line.points) == 1 for line in lines) else ""
    bounds = (0.0, 100.0 if axis.endswith("%") else math.inf)
    wide = curves(lines, (520, 300), bounds, y_title=axis, title=f"{caption}: {ends}", css="wide")
    narrow = curves(lines, (356, 280), bounds, y_title=axis, title=f"{caption}: {ends}", css="narrow")
    return Plot(f"{caption}.{alone}", wide, narrow, f"first to last epoch: {ends}")


def _row(title: str, name: str, history: list[Epoch]) -> tuple[Cell, ...]:
    scored = [epoch for epoch in history if epoch.validation_accuracy is not None]
    best = max(scored, key=lambda epoch: epoch.validation_accuracy or 0.0, default=None)
    seconds = [epoch.seconds for epoch in history if epoch.seconds is not None]
    last = history[-1]
    terms = ", ".join(f"{name} {units.significant(value)}" for name, value in last.terms.items())
    return (
        Cell(title, note=name),
        Cell(units.integer(len(history))),
        missing(UNRECORDED) if best is None else Cell(units.integer(best.epoch)),
        missing(UNRECORDED) if best is None else Cell(units.percent(best.validation_accuracy or 0.0)),
        missing(UNRECORDED) if last.train_loss is None else Cell(units.significant(last.train_loss)),
        Cell(terms) if terms else missing(UNRECORDED),
        Cell(units.duration(sum(seconds))) if len(seconds) == len(history) else missing(UNRECORDED),
    )
