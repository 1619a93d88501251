"""One self-contained page: no script, no external request, light and dark, desktop, phone and paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, cast

from edgekd.report.blocks import Block, Cell, Column, Page, Row, Table

TEMPLATES = Path(__file__).parent.parent / "templates"


def text(page: Page, version: int) -> str:
    """The page as HTML. Every text of the document is escaped; only the figures are markup."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(TEMPLATES)
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    jinja.lstrip_blocks = jinja.keep_trailing_newline = True
    cast(dict[str, Any], jinja.filters).update(svg=Markup, spans=spans, kind=kind)
    return jinja.get_template("report.html.j2").render(page=page, version=version)


def kind(block: Block) -> str:
    """The name by which the template knows a block."""
    return type(block).__name__.lower()


class Span(NamedTuple):
    """A cell that stands under one or more columns, whose titles are its label on a narrow screen."""

    cell: Cell
    columns: int
    numeric: bool
    label: str


def spans(row: Row, table: Table) -> list[Span]:
    """A row's cells after its header; neighbours that are missing for the same reason become one wide cell."""
    found: list[tuple[Cell, list[Column]]] = []
    for cell, column in zip(row[1:], table.columns[1:], strict=True):
        if found and cell.missing and found[-1][0] == cell:
            found[-1][1].append(column)
        else:
            found.append((cell, [column]))
    return [
        Span(cell, len(under), under[0].numeric and not cell.missing, " to ".join(_ends([c.title for c in under])))
        for cell, under in found
    ]


def _ends(titles: list[str]) -> list[str]:
    return titles if len(titles) == 1 else [titles[0], titles[-1]]
