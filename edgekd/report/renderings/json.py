"""The document itself, as JSON: the one source of the report's numbers."""

from __future__ import annotations

import json
from pathlib import Path

from edgekd.report.document import Document
from edgekd.report.rendering import Rendering, save


class Json(Rendering):
    """`report.json`."""

    def render(self, document: Document, folder: Path) -> Path:
        """Writes the validated document, indented, in the schema's order."""
        text = json.dumps(document.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
        return save(folder / "report.json", text + "\n")
