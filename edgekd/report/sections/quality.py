"""Beyond accuracy: macro-F1, calibration error, and the classes that are missed most often."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Cell, Column, Details, Paragraph, Row, Section, Table, columns, table
from edgekd.report.cells import file, missing, number
from edgekd.report.document import Document
from edgekd.report.document.artifacts import Exported
from edgekd.report.document.networks import Quality
from edgekd.report.sections.comparison import ranked, role

HEADS = columns("", "Macro-F1|Calibration error|Worst class")
WORST = columns("Class|Mostly taken for", "Recall|Samples")
HOW = (
    "Macro-F1 is the mean over the classes, so a rare class counts as much as a frequent one. Calibration error is the "
    "mean distance between how sure an answer is and how often such answers are right, over 15 bins of confidence: 0 "
    "means that a confidence of 80 % is right 80 times in 100. Recall is the share of a class's own samples that are "
    "recognised."
)
EMBEDDED = (
    "The networks put out embeddings. A text's class is here that of the nearest class centroid, the mean of the "
    "training texts' embeddings; cosines are no probabilities, so there is no calibration error."
)


def section(document: Document) -> Section | None:
    """One row per network and file, and the ten worst classes of each, folded away."""
    several = len({artifact.target for artifact in document.artifacts}) > 1
    made = [(Cell(role(document, item), note=item.name), item.quality) for item in ranked(document) if item.quality]
    files = [(_file(item, several), item.quality) for item in document.artifacts if item.quality]
    found = [*made, *files]
    if not found:
        return None
    embedded = any(quality.calibration_error is None for _, quality in found)
    notes = [Paragraph(HOW), *([Paragraph(EMBEDDED)] if embedded else [])]
    folded = [Details(f"Worst classes: {name.text}", (_worst(name, quality),)) for name, quality in made]
    if files:
        folded.append(Details("Worst classes of the exported files", tuple(_worst(*pair) for pair in files)))
    blocks = (*notes, table("Beyond accuracy", _heads(embedded), (_row(*pair, embedded) for pair in found)), *folded)
    return Section("quality", "Quality per class", blocks)


def _file(artifact: Exported, several: bool) -> Cell:
    """The file's name, with its target under it where there are several."""
    name = file(artifact)
    return name._replace(note=artifact.target) if several else name


def _heads(embedded: bool) -> tuple[Column, ...]:
    return (*HEADS, *columns("", "Cosine with teacher")[1:]) if embedded else HEADS


def _row(name: Cell, quality: Quality, embedded: bool) -> Row:
    worst = quality.worst_classes[0] if quality.worst_classes else None
    last = number(quality.cosine_with_teacher, units.significant, "no teacher with embeddings of this width")
    return (
        name,
        Cell(units.percent(quality.macro_f1)),
        number(quality.calibration_error, units.percent, "cosines are no probabilities"),
        Cell(units.percent(worst.recall), note=worst.name) if worst else missing("no class has samples"),
        *([last] if embedded else []),
    )


def _worst(name: Cell, quality: Quality) -> Table:
    rows = (
        (
            Cell(item.name),
            Cell(item.mistaken_for) if item.mistaken_for else Cell("no other", tone="muted"),
            Cell(units.percent(item.recall)),
            Cell(units.integer(item.samples)),
        )
        for item in quality.worst_classes
    )
    return table(f"{name.text}, {name.note}: classes of lowest recall", WORST, rows)
