"""Measurements to JSON, Markdown and HTML: one document of numbers, several renderings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast


def write(document: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Renders a run.

    Args:
        document: the report document, as `edgekd.report.document.Document` describes it.
        folder: where `report.json`, `report.md` and `report.html` go; made when it does not exist.

    Returns:
        Rendering (`json`, `markdown`, `html`) to the file it wrote.

    Raises:
        StoreError: the document does not fit its schema (every mismatch is named), or a file cannot be written.
    """
    from edgekd.report.document import Document
    from edgekd.report.rendering import RENDERINGS

    parsed = Document.parse(document)
    first = "json"
    names = [first, *(name for name in RENDERINGS.names() if name != first)]
    return {name: RENDERINGS.load(name)().render(parsed, folder) for name in names}


def read(folder: Path) -> dict[str, Any]:
    """The document that `write` left in a run's folder, checked against its schema.

    Raises:
        StoreError: there is no `report.json`, or it is damaged.
    """
    import json

    from edgekd.errors import StoreError
    from edgekd.report.document import Document

    path = folder / "report.json"
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError("this run has no report", where=path, hint="make one: edgekd run RECIPE") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError("the report cannot be read", where=path, received=error, hint="edgekd run RECIPE") from error
    if not isinstance(document, dict):
        raise StoreError("the report is no JSON object", where=path, hint="write it again: edgekd run RECIPE")
    found = cast(dict[str, Any], document)
    Document.parse(found)
    return found
