"""A file that failed is told of at the top, in a section of its own and in every table, in all three renderings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgekd.report import write
from edgekd.report.document import Document
from edgekd.report.headline import headline, verdict
from edgekd.report.sections import failures

Json = dict[str, Any]
REASON = "the measuring agent was killed by SIGSEGV\n  received: last words"


def failed(document: Json, *positions: int) -> Json:
    """These artifacts could not be run."""
    nothing = {"size_bytes": None, "quantization": None, "quality": None, "agreement_with_teacher": None, "notes": {}}
    for position in positions:
        gone = {**nothing, "accuracy": None, "parity": None, "measurement": None, "not_measured": "the file failed"}
        document["artifacts"][position].update(gone, failed=REASON)
    return document


def test_the_first_lines_count_and_name_them(full: Json) -> None:
    document = Document.parse(failed(full, 2, 3))
    names = "openvino float32 for x86-avx512-vnni, openvino int8 for x86-avx512-vnni"
    assert headline(document).endswith(f"; 2 of 12 files failed ({names}).")
    assert verdict(document).text.startswith("2 of 12 files failed. 5 of 6 gates passed")
    assert verdict(document).tone == "bad"
    assert "its fastest INT8 file (onnx" in headline(document)


def test_without_gates_it_is_still_no_success(unmeasured: Json) -> None:
    document = Document.parse(failed(unmeasured, 0))
    assert verdict(document).text == "1 of 1 files failed. No gates were set: nothing below was held against a limit."
    assert verdict(document).tone == "bad" and "no INT8 file of the student was made" in headline(document)


def test_every_rendering_has_the_reason(full: Json, tmp_path: Path) -> None:
    paths = write(failed(full, 3), tmp_path)
    assert json.loads(paths["json"].read_text())["artifacts"][3]["failed"] == REASON
    for name in ("html", "markdown"):
        text = paths[name].read_text()
        assert "Failed files" in text and "the measuring agent was killed by SIGSEGV; received: last words" in text


def test_without_failures_there_is_no_section(full: Json) -> None:
    assert failures.section(Document.parse(full)) is None
    assert "failed" not in headline(Document.parse(full))
