"""GitHub tables and lists, fit for a README or a model card; the figures are told in words."""

from __future__ import annotations

import re
from pathlib import Path

from edgekd.report.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Details,
    Figures,
    Heading,
    Page,
    Paragraph,
    Plot,
    Table,
    Terms,
)
from edgekd.report.document import Document
from edgekd.report.page import build
from edgekd.report.rendering import Rendering, save


class Markdown(Rendering):
    """`report.md`."""

    def render(self, document: Document, folder: Path) -> Path:
        """Writes the report; every text of the document is escaped, so that a name cannot become markup."""
        return save(folder / "report.md", "\n\n".join(_page(build(document))) + "\n")


def escaped(text: str) -> str:
    """Plain text as Markdown: one line, nothing in it read as markup."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~#!$])", r"\\\1", line)
    line = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)
    return re.sub(r"^([-+=]|\d+[.)])(?=\s|$)", r"\\\1", line)


def code(text: str) -> str:
    """An identifier as inline code; a pipe is escaped because it may stand in a table."""
    line = " ".join(text.split()).replace("|", r"\|")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _page(page: Page) -> list[str]:
    lines = [f"# {escaped(page.title)}", f"**{escaped(page.headline)}**", escaped(page.verdict.text)]
    if page.findings:
        lines.append("\n".join(f"- {escaped(item)}" for item in page.findings))
    for section in page.sections:
        lines.append(f"## {escaped(section.title)}")
        for block in section.blocks:
            lines.extend(_block(block))
    return lines


def _block(block: Block) -> list[str]:
    match block:
        case Paragraph():
            lines = [escaped(block.text)]
        case Heading():
            lines = [f"### {escaped(block.text)}" + (f" ({escaped(block.note)})" if block.note else "")]
        case Bullets():
            lines = ["\n".join(f"- {escaped(item)}" for item in block.items)]
        case Terms():
            lines = ["\n".join(f"- {escaped(name)}: {_value(cell)}" for name, cell in block.items)]
        case Code():
            lines = [_fenced(block)]
        case Plot():
            lines = [f"{escaped(block.caption)} {escaped(block.summary)}."]
        case Figures():
            lines = [line for plot in block.plots for line in _block(plot)]
        case Details():
            inner = [line for part in block.blocks for line in _block(part)]
            lines = [f"<details><summary>{escaped(block.summary)}</summary>", *inner, "</details>"]
        case Table():
            lines = _table(block)
    return lines


def _fenced(block: Code) -> str:
    longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"


def _value(cell: Cell) -> str:
    if cell.missing:
        return f"not measured: {escaped(cell.text)}"
    text = code(cell.text) if cell.code else escaped(cell.text)
    return f"{text} ({escaped(cell.note)})" if cell.note else text


def _table(table: Table) -> list[str]:
    """One table per group; reasons of missing values are numbered under it, because a cell is too small for them."""
    reasons: dict[str, int] = {}
    parts: list[str] = [f"**{escaped(table.caption)}**"]
    for group in table.groups:
        head = [group.title, *(column.title for column in table.columns[1:])] if group.title else []
        titles = head or [column.title for column in table.columns]
        lines = [_line([escaped(title) for title in titles])]
        lines.append(_line(["---:" if column.numeric else "---" for column in table.columns]))
        lines.extend(_line([_cell(cell, reasons) for cell in row]) for row in group.rows)
        parts.append("\n".join(lines))
    if reasons:
        parts.append("\n".join(f"- ({number}) not measured: {escaped(reason)}" for reason, number in reasons.items()))
    if table.footnote:
        parts.append(escaped(table.footnote))
    return parts


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell, reasons: dict[str, int]) -> str:
    if cell.missing:
        return f"not measured ({reasons.setdefault(cell.text, len(reasons) + 1)})"
    return _value(cell)
