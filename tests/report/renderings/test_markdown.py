"""Markdown: regular tables, numbered reasons, and names that stay text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgekd.report import write
from edgekd.report.renderings.markdown import code, escaped

Json = dict[str, Any]


def render(document: Json, folder: Path) -> str:
    return write(document, folder)["markdown"].read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("name", ["full", "unmeasured", "failing"])
def test_tables_are_regular_and_nothing_is_blank(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    text = render(request.getfixturevalue(name), tmp_path)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) >= 3
    for table in tables:
        head, rule, *rows = table.strip().splitlines()
        assert all(re.fullmatch(r"-{3}:?", cell) for cell in cells(rule))
        assert rows
        for row in rows:
            assert len(cells(row)) == len(cells(head)) == len(cells(rule))
            assert all(cells(row)[1:])


def test_missing_figures_have_numbered_reasons(full: Json, tmp_path: Path) -> None:
    text = render(full, tmp_path)
    row = next(line for line in text.splitlines() if line.startswith("| tensorrt int8 (tensorrt) | 78.0 k"))
    number = re.search(r"not measured \((\d+)\)", row)
    assert number and row.count(number.group()) == 6
    after = text[text.index(row) :]
    assert f"- ({number.group(1)}) not measured: TensorRT engines are built and timed on the device" in after


def test_rows(full: Json, tmp_path: Path) -> None:
    text = render(full, tmp_path)
    assert text.startswith("# cifar10\n\n**The student keeps 92.5 % of its teacher's accuracy")
    assert (
        "| onnx int8 (onnxruntime) | 78.0 k | 12.5 M | 96.4 kB | 87.12 % (86.45\u201387.76) | 90.12 % | 0.0940 " in text
    )
    assert "| x86-avx512-vnni (this machine) | Parameters |" in text


def test_names_stay_text(failing: Json, tmp_path: Path) -> None:
    text = render(failing, tmp_path)
    prose = re.sub(r"^```yaml\n.*?^```$", "", text, flags=re.M | re.S)
    assert "<script" not in prose
    assert re.findall(r"<[^>]*>", prose).count("<details>") == prose.count("</details>")
    assert set(re.findall(r"<[^>]*>", prose)) <= {"<details>", "<summary>", "</summary>", "</details>"}
    assert r"a\|b" in prose and r"\*star\*" in prose and r"\[link\](http://example.com/)" in prose


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("student_alone", "student_alone"),
        ("_private_", r"\_private\_"),
        ("two\nlines", "two lines"),
        ("- no list", r"\- no list"),
        ("1. no list", r"\1. no list"),
    ],
)
def test_escaped(text: str, written: str) -> None:
    assert escaped(text) == written


@pytest.mark.parametrize(
    ("text", "written"), [("x", "`x`"), ("a`b", "``a`b``"), ("`a", "`` `a ``"), ("a|b", r"`a\|b`")]
)
def test_code(text: str, written: str) -> None:
    assert code(text) == written
