"""Measurements to JSON, Markdown and HTML: one document of numbers, several renderings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from edgekd.errors import StoreError
from edgekd.store import write_atomically

AGAIN = "write it again: edgekd run RECIPE"


def write(document: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Renders a run; the same document gives the same bytes.

    Args:
        document: the report document, as `edgekd.report.document.Document` describes it.
        folder: where `report.json`, `report.md` and `report.html` go; made when it does not exist.

    Returns:
        Rendering (`json`, `markdown`, `html`) to the file it wrote.

    Raises:
        StoreError: the document does not fit its schema (every mismatch is named), or a file cannot be written.
    """
    from edgekd.report.document import Document
    from edgekd.report.page import build
    from edgekd.report.renderings import html, markdown

    parsed = Document.parse(document)
    page = build(parsed)
    numbers = json.dumps(parsed.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    return {
        "json": _save(folder / "report.json", numbers + "\n"),
        "html": _save(folder / "report.html", html.text(page, parsed.report_version)),
        "markdown": _save(folder / "report.md", markdown.text(page)),
    }


def _save(path: Path, text: str) -> Path:
    """Writes a text file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return path
    except OSError as error:
        hint = "give another folder with --out, or free some space"
        why = error.strerror or error
        raise StoreError("the report cannot be written", where=path, received=why, hint=hint) from error


def read(folder: Path) -> dict[str, Any]:
    """The document that `write` left in a run's folder, checked against its schema.

    Raises:
        StoreError: there is no `report.json`, or it is damaged.
    """
    from edgekd.report.document import Document

    path = folder / "report.json"
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError("this run has no report", where=path, hint="make one: edgekd run RECIPE") from error
    except (OSError, ValueError) as error:
        raise StoreError("the report cannot be read", where=path, received=error, hint=AGAIN) from error
    if not isinstance(document, dict):
        raise StoreError("the report is no JSON object", where=path, hint=AGAIN)
    found = cast(dict[str, Any], document)
    Document.parse(found)
    return found
