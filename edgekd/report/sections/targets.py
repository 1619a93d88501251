"""One part per target: how its files were verified, what was timed, what stayed in float."""

from __future__ import annotations

from edgekd.report.blocks import Block, Heading, Paragraph, Section
from edgekd.report.compare import smallest_batch, speed_ups
from edgekd.report.document import Board, Document
from edgekd.report.tables import quantization, timing, verification


def section(document: Document) -> Section | None:
    """Every target in the order of the run; None when the run had none."""
    blocks = [block for board in document.targets for block in _board(document, board)]
    return Section("targets", "Targets", tuple(blocks)) if blocks else None


def _board(document: Document, board: Board) -> list[Block]:
    files = [artifact for artifact in document.artifacts if artifact.target == board.name]
    head = [Heading(board.name, board.title), Paragraph(_how(board))]
    if not files:
        return [*head, Paragraph("No file was made for this target.", "muted")]
    return [
        *head,
        verification.blocks(document, board.name, files),
        *timing.blocks(board.name, files, speed_ups(document), smallest_batch(document)),
        *quantization.kept_float(files),
        quantization.files_and_notes(files),
    ]


def _how(board: Board) -> str:
    if board.this_machine:
        return (
            "This machine is this target: its files are verified in the runtime's own fused arithmetic and timed here, "
            "except where a row says otherwise."
        )
    reasons = "; ".join(board.reasons) or "the run gave no reason"
    return (
        f"This machine is not this target: {reasons}. What could be verified here is verified in reference arithmetic, "
        "with the runtime's fusion off, so that this machine's kernels do not stand in for the target's. Latency and "
        "memory belong to the target, so they are not measured here."
    )
