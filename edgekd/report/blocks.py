"""What a report is made of. Sections build blocks once; each rendering writes the same blocks in its own notation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "good", "bad", "warn", "muted", "strong"]


@dataclass(frozen=True)
class Cell:
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


@dataclass(frozen=True)
class Column:
    """A column of a table; numeric columns are set flush right."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Group:
    """Rows under a common title (empty: none). The first cell of a row is its header."""

    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table. `cards`: on a narrow screen each row becomes a card; otherwise the table scrolls in its box."""

    caption: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    cards: bool = False
    footnote: str = ""
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str
    tone: Tone = ""
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]
    tone: Tone = ""
    kind: Literal["bullets"] = "bullets"


@dataclass(frozen=True)
class Terms:
    """Names and their values."""

    items: tuple[tuple[str, Cell], ...]
    kind: Literal["terms"] = "terms"


@dataclass(frozen=True)
class Code:
    """Preformatted text."""

    text: str
    language: str = ""
    kind: Literal["code"] = "code"


@dataclass(frozen=True)
class Plot:
    """A figure.

    Attributes:
        caption: what is shown and how to read it.
        wide: SVG for a desktop screen and for paper.
        narrow: SVG of the same figure for a phone.
        summary: the figure in words.
    """

    caption: str
    wide: str
    narrow: str
    summary: str
    kind: Literal["plot"] = "plot"


@dataclass(frozen=True)
class Figures:
    """Plots side by side where there is room."""

    plots: tuple[Plot, ...]
    kind: Literal["figures"] = "figures"


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away at first."""

    summary: str
    blocks: tuple[Block, ...]
    kind: Literal["details"] = "details"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section; `note` is a quiet addition, such as the full name of a board."""

    text: str
    note: str = ""
    kind: Literal["heading"] = "heading"


Block = Table | Paragraph | Bullets | Terms | Code | Plot | Figures | Details | Heading


@dataclass(frozen=True)
class Section:
    """A titled part of the report. `anchor` is its id in the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: the run's name.
        headline: what was achieved, in one sentence.
        verdict: what the gates say, and its tone.
        findings: the sentences that support the headline.
        sections: the body.
    """

    title: str
    headline: str
    verdict: Paragraph
    findings: tuple[str, ...]
    sections: tuple[Section, ...]


def missing(reason: str) -> Cell:
    """The cell of a value that was not measured."""
    return Cell(reason, missing=True, tone="muted")
