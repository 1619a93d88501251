"""Training: loss and validation accuracy per epoch."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgekd.report import units
from edgekd.report.blocks import Block, Cell, Figures, Paragraph, Plot, Row, Section, columns, table
from edgekd.report.cells import missing, number
from edgekd.report.document import Document
from edgekd.report.document.networks import Epoch, Network
from edgekd.report.plots.curves import Curve, curves
from edgekd.report.sections.comparison import role

SERIES = {"teacher": 0, "student": 1, "student_alone": 2}
COLUMNS = columns(
    "", "Epochs|Steps|Best epoch|Best validation accuracy|Final training loss|Terms of the final loss|Time"
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
    rows = (_row(role(document, network), network, history) for network, history in trained)
    foot = "Selection is on the validation split; the test split is scored once, at the end."
    blocks.append(table("Training in figures", COLUMNS, rows, cards=True, foot=foot))
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
        points = tuple((float(epoch.epoch), y) for epoch in history if (y := value(epoch)) is not None)
        if points:
            others = sum(line.series >= len(SERIES) for line in lines)
            lines.append(Curve(units.name(network.role), points, SERIES.get(network.role, len(SERIES) + others)))
    if not lines:
        return Paragraph(f"{caption}: not measured: {UNRECORDED}.", "muted")
    ends = "; ".join(f"{line.name} {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines)
    alone = " Each curve has one epoch, drawn as a dot." if all(len(line.points) == 1 for line in lines) else ""
    bounds = (0.0, 100.0 if axis.endswith("%") else math.inf)
    wide, narrow = (
        curves(lines, size, bounds, y_title=axis, title=f"{caption}: {ends}", css=css)
        for css, size in (("wide", (520, 300)), ("narrow", (356, 280)))
    )
    return Plot(f"{caption}.{alone}", wide, narrow, f"first to last epoch: {ends}")


def _row(title: str, network: Network, history: list[Epoch]) -> Row:
    scored = [(epoch.validation_accuracy, epoch) for epoch in history if epoch.validation_accuracy is not None]
    top, best = max(scored, key=lambda pair: pair[0], default=(None, None))
    seconds = [epoch.seconds for epoch in history if epoch.seconds is not None]
    terms = ", ".join(f"{name} {units.significant(value)}" for name, value in history[-1].terms.items())
    return (
        Cell(title, note=network.name),
        Cell(units.integer(len(history))),
        number(network.steps, units.integer, UNRECORDED),
        number(best.epoch if best else None, units.integer, UNRECORDED),
        number(top, units.percent, UNRECORDED),
        number(history[-1].train_loss, units.significant, UNRECORDED),
        Cell(terms) if terms else missing(UNRECORDED),
        number(sum(seconds) if len(seconds) == len(history) else None, units.duration, UNRECORDED),
    )
