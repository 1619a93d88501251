"""One self-contained page: no script, no external request, light and dark, desktop, phone and paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edgekd.report.blocks import Cell, Column, Table
from edgekd.report.document import Document
from edgekd.report.page import build
from edgekd.report.rendering import Rendering, save

TEMPLATES = Path(__file__).parent.parent / "templates"


class Html(Rendering):
    """`report.html`."""

    def render(self, document: Document, folder: Path) -> Path:
        """Writes the page. Every text of the document is escaped; only the figures are markup."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

        jinja = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        filters = cast(dict[str, Any], jinja.filters)
        filters.update(svg=Markup, spans=spans)
        text = jinja.get_template("report.html.j2").render(page=build(document), version=document.report_version)
        return save(folder / "report.html", text)


@dataclass(frozen=True)
class Span:
    """A cell that stands under one or more columns.

    Attributes:
        columns: how many.
        numeric: set flush right.
        label: the columns' titles, for the cards of a narrow screen.
    """

    cell: Cell
    columns: int
    numeric: bool
    label: str


def spans(row: tuple[Cell, ...], table: Table) -> list[Span]:
    """A row's cells after its header; neighbours that are missing for the same reason become one wide cell."""
    found: list[tuple[Cell, list[Column]]] = []
    for cell, column in zip(row[1:], table.columns[1:], strict=True):
        if found and cell.missing and found[-1][0] == cell:
            found[-1][1].append(column)
        else:
            found.append((cell, [column]))
    return [
        Span(
            cell,
            len(columns),
            columns[0].numeric and not cell.missing,
            columns[0].title if len(columns) == 1 else f"{columns[0].title} to {columns[-1].title}",
        )
        for cell, columns in found
    ]
