"""What a report is made of. Sections build blocks once; each rendering writes the same blocks in its own notation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Tone = Literal["", "good", "bad", "warn", "muted", "strong"]


class Cell(NamedTuple):
    """One cell of a table.

    Attributes:
        text: the value; for a missing one, the reason.
        note: a second, quieter line.
        tone: how it reads; never the only carrier of a meaning.
        code: an identifier or a path.
        missing: the value was not measured.
    """

    text: str
    note: str = ""
    tone: Tone = ""
    code: bool = False
    missing: bool = False


Row = tuple[Cell, ...]


class Column(NamedTuple):
    """A column of a table; numeric columns are set flush right."""

    title: str
    numeric: bool = True


class Group(NamedTuple):
    """Rows under a common title (empty: none). The first cell of a row is its header."""

    rows: tuple[Row, ...]
    title: str = ""


class Table(NamedTuple):
    """A table. `cards`: on a narrow screen each row becomes a card; otherwise the table scrolls in its box."""

    caption: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    cards: bool = False
    footnote: str = ""


class Paragraph(NamedTuple):
    """Running text."""

    text: str
    tone: Tone = ""


class Bullets(NamedTuple):
    """A list of sentences."""

    items: tuple[str, ...]
    tone: Tone = ""


class Terms(NamedTuple):
    """Names and their values."""

    terms: tuple[tuple[str, Cell], ...]


class Code(NamedTuple):
    """Preformatted text."""

    text: str
    language: str = ""


class Plot(NamedTuple):
    """A figure: its caption, an SVG for a desktop screen and paper, one for a phone, and the figure in words."""

    caption: str
    wide: str
    narrow: str
    summary: str


class Figures(NamedTuple):
    """Plots side by side where there is room."""

    plots: tuple[Plot, ...]


class Details(NamedTuple):
    """Blocks that are folded away at first."""

    summary: str
    blocks: tuple[Block, ...]


class Heading(NamedTuple):
    """A heading inside a section; `note` is a quiet addition, such as the full name of a board."""

    text: str
    note: str = ""


Block = Table | Paragraph | Bullets | Terms | Code | Plot | Figures | Details | Heading


class Section(NamedTuple):
    """A titled part of the report. `anchor` is its id in the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


class Page(NamedTuple):
    """A whole report: the run's name, what was achieved in one sentence, what the gates say, and what supports it."""

    title: str
    headline: str
    verdict: Paragraph
    findings: tuple[str, ...]
    sections: tuple[Section, ...]


def columns(text: str, numeric: str = "") -> tuple[Column, ...]:
    """Columns from titles separated by `|`: first those set flush left, then the numeric ones."""
    right = [Column(title) for title in numeric.split("|")] if numeric else []
    return (*(Column(title, False) for title in text.split("|")), *right)


def table(
    caption: str, heads: tuple[Column, ...], rows: Iterable[Row], *, cards: bool = False, foot: str = ""
) -> Table:
    """A table of one group without a title."""
    return Table(caption, heads, (Group(tuple(rows)),), cards, foot)
