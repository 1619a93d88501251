"""A rendering writes the report document in one notation; the family of renderings is one file per notation."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from edgekd.errors import StoreError
from edgekd.family import Family, Method
from edgekd.report.document import Document


class Rendering(Method):
    """Contract of a rendering."""

    @abstractmethod
    def render(self, document: Document, folder: Path) -> Path:
        """Writes one file into `folder` and returns its path; the same document gives the same bytes."""


RENDERINGS = Family("edgekd.report.renderings", Rendering)


def save(path: Path, text: str) -> Path:
    """Writes a text file whole or not at all.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            "the report cannot be written",
            where=path,
            received=error.strerror or error,
            hint="give another folder with --out, or free some space",
        ) from error
    return path
