"""Texts and labels from the columns of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from edgekd.data.dataset import Split
from edgekd.data.paths import locate
from edgekd.data.reader import Listing, Reader, Sample
from edgekd.errors import DataError, nearest
from edgekd.recipe_path import RecipePath


class CsvText(Reader):
    """Rows of text and label.

    Attributes:
        path: the CSV file, UTF-8, with a header line.
        test_path: a second file with the test split, same columns; null when the test split is to be drawn.
        text: name of the text column.
        label: name of the label column; classes are its distinct values without surrounding blanks, sorted.
        delimiter: one character.
    """

    kind: ClassVar[Literal["image", "text"]] = "text"
    path: RecipePath
    test_path: RecipePath | None = None
    text: str = "text"
    label: str = "label"
    delimiter: str = Field(default=",", min_length=1, max_length=1)

    def open(self) -> Listing:
        """Reads and validates all rows; see Reader.open."""
        own: Split | None = None if self.test_path is None else "train"
        test: Split = "test"
        rows: list[tuple[str, str, str, Split | None]] = []
        rows.extend((f"train/{line:08d}", text, label, own) for line, text, label in self._rows(self.path))
        if self.test_path is not None:
            rows.extend((f"test/{line:08d}", text, label, test) for line, text, label in self._rows(self.test_path))
        classes = sorted({label for _, _, label, _ in rows})
        index = {name: position for position, name in enumerate(classes)}
        samples = [Sample(origin, partial(str, text), index[label], split) for origin, text, label, split in rows]
        return Listing(classes, samples)

    def names_parts(self) -> bool:
        """The columns."""
        return True

    def sources(self) -> list[Path]:
        """The CSV files."""
        return [path.expanduser() for path in (self.path, self.test_path) if path is not None]

    def identity(self) -> dict[str, Any]:
        """Columns and delimiter."""
        return {"text": self.text, "label": self.label, "delimiter": self.delimiter}

    def _rows(self, given: Path) -> Iterator[tuple[int, str, str]]:
        """`(line number, text, label)` of every row."""
        path = locate(given)
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                rows = csv.DictReader(stream, delimiter=self.delimiter, strict=True)
                self._check_header(list(rows.fieldnames or []), path)
                found = [self._row(rows.line_num, row, path) for row in rows]
        except UnicodeDecodeError as error:
            raise DataError("the file is not UTF-8", where=path, hint="convert it: iconv -t utf-8") from error
        except csv.Error as error:
            raise DataError(f"the file is no valid CSV: {error}", where=path) from error
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}", where=path) from error
        empty = [line for line, text, label in found if not text.strip() or not label.strip()]
        if empty:
            lines = ", ".join(map(str, empty[:10])) + (", ..." if len(empty) > 10 else "")
            raise DataError(f"{len(empty)} rows have no text or no label", where=path, received=f"lines {lines}")
        if not found:
            raise DataError("the file has no rows", where=path, accepted="a header line and at least one row")
        return iter(found)

    def _row(self, line: int, row: dict[str | None, Any], path: Path) -> tuple[int, str, str]:
        if None in row:
            raise DataError(
                f"a row has more fields than the header: is there an unquoted '{self.delimiter}' in its text?",
                where=f"{path}:{line}",
                received=f"{len(row) - 1 + len(row[None])} fields",
                accepted=f'{len(row) - 1}; a text with the delimiter in it stands in double quotes: "..."',
            )
        return line, row[self.text] or "", (row[self.label] or "").strip()

    def _check_header(self, columns: list[str], path: Path) -> None:
        for column in (self.text, self.label):
            if column not in columns:
                raise DataError(
                    f"there is no column '{column}'{nearest(column, columns)}",
                    where=path,
                    received=", ".join(columns) or "an empty file",
                    accepted=f"a header line with the columns '{self.text}' and '{self.label}'",
                )
