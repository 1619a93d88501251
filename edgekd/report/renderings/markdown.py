"""GitHub tables and lists, fit for a README or a model card; the figures are told in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    fence = _fence(line, 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(least, longest + 1)


def text(page: Page) -> str:
    """The report; every text of the document is escaped, so that a name cannot become markup."""
    lines = [f"# {escaped(page.title)}", f"**{escaped(page.headline)}**", escaped(page.verdict.text)]
    if page.findings:
        lines.append(_listed(page.findings))
    for section in page.sections:
        lines += [f"## {escaped(section.title)}", *_blocks(section.blocks)]
    return "\n\n".join(lines) + "\n"


def _blocks(blocks: Iterable[Block]) -> list[str]:
    return [line for block in blocks for line in _block(block)]


def _listed(items: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(item)}" for item in items)


def _block(block: Block) -> list[str]:
    match block:
        case Paragraph():
            lines = [escaped(block.text)]
        case Heading():
            lines = [f"### {escaped(block.text)}" + (f" ({escaped(block.note)})" if block.note else "")]
        case Bullets():
            lines = [_listed(block.items)]
        case Terms():
            lines = ["\n".join(f"- {escaped(name)}: {_value(cell)}" for name, cell in block.terms)]
        case Code():
            fence = _fence(block.text, 3)
            lines = [f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"]
        case Plot():
            lines = [f"{escaped(block.caption)} {escaped(block.summary)}."]
        case Figures():
            lines = _blocks(block.plots)
        case Details():
            lines = [f"<details><summary>{escaped(block.summary)}</summary>", *_blocks(block.blocks), "</details>"]
        case Table():
            lines = _table(block)
    return lines


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
        titles = [group.title or table.columns[0].title, *(column.title for column in table.columns[1:])]
        lines = [_line(map(escaped, titles)), _line("---:" if column.numeric else "---" for column in table.columns)]
        parts.append("\n".join([*lines, *(_line(_cell(cell, reasons) for cell in row) for row in group.rows)]))
    if reasons:
        parts.append("\n".join(f"- ({number}) not measured: {escaped(reason)}" for reason, number in reasons.items()))
    return [*parts, escaped(table.footnote)] if table.footnote else parts


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell, reasons: dict[str, int]) -> str:
    if cell.missing:
        return f"not measured ({reasons.setdefault(cell.text, len(reasons) + 1)})"
    return _value(cell)
