"""Writing and reading a run's report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekd.errors import StoreError
from edgekd.report import read, write
from edgekd.report.compare import slower_than_float
from edgekd.report.document import Document
from edgekd.steps.again import MEASUREMENT, render_again
from edgekd.steps.document import MISFIT

Json = dict[str, Any]


def test_three_files(full: Json, tmp_path: Path) -> None:
    written = write(full, tmp_path / "new" / "run")
    assert {name: path.name for name, path in written.items()} == {
        "json": "report.json",
        "markdown": "report.md",
        "html": "report.html",
    }
    assert sorted(path.name for path in (tmp_path / "new" / "run").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]


def test_same_document_same_bytes(full: Json, unmeasured: Json, failing: Json, tmp_path: Path) -> None:
    for document in (full, unmeasured, failing):
        first = {name: path.read_bytes() for name, path in write(document, tmp_path / "a").items()}
        copy = json.loads(json.dumps(document))
        second = {name: path.read_bytes() for name, path in write(copy, tmp_path / "b").items()}
        assert first == second


def test_bytes_do_not_depend_on_the_process(full: Json, tmp_path: Path) -> None:
    write(full, tmp_path / "here")
    source = tmp_path / "document.json"
    source.write_text(json.dumps(full), encoding="utf-8")
    program = (
        "import json, sys; from pathlib import Path; from edgekd.report import write; "
        "write(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])); "
        "sys.exit(', '.join({'torch', 'matplotlib', 'onnxruntime', 'PIL'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "there")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
    for name in ("report.json", "report.md", "report.html"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_read_gives_the_document_back(full: Json, tmp_path: Path) -> None:
    write(full, tmp_path)
    document = read(tmp_path)
    first = (tmp_path / "report.html").read_bytes()
    write(document, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == first
    assert document["artifacts"][1]["accuracy"]["value"] == 0.8712
    assert document["artifacts"][7]["measurement"] is None


def test_read_refuses(full: Json, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="edgekd run"):
        read(tmp_path)
    path = write(full, tmp_path)["json"]
    whole = path.read_text(encoding="utf-8")
    for damaged in (whole[: len(whole) // 2], "[]", whole.replace('"report_version": 1', '"report_version": 9')):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(StoreError):
            read(tmp_path)


def test_a_wrong_document_writes_nothing(full: Json, tmp_path: Path) -> None:
    del full["models"]
    with pytest.raises(StoreError, match="models"):
        write(full, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(full: Json, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        write(full, tmp_path / "taken")


def test_rendering_again_judges_anew_and_keeps_what_cannot_be_measured(full: Json, tmp_path: Path) -> None:
    unfit = {"gate": MISFIT, "where": "x", "limit": None, "value": None, "unit": "", "passed": False, "reason": "INT4"}
    full["gates"] = [unfit]
    full["warnings"] = [*full["warnings"], *slower_than_float(Document.parse(full))]
    write(full, tmp_path)
    slow, fast = full["artifacts"][5], full["artifacts"][4]
    newer = {**slow["measurement"], "latency": fast["measurement"]["latency"]}
    for row in newer["latency"]:
        row["p50_ms"] /= 3
    (tmp_path / slow["path"]).mkdir(parents=True)
    (tmp_path / slow["path"] / MEASUREMENT).write_text(json.dumps(newer))
    render_again(tmp_path)
    document = read(tmp_path)
    assert document["gates"][0] == unfit and {gate["gate"] for gate in document["gates"][1:]} >= {"parity"}
    assert document["warnings"] == full["warnings"][:1]
