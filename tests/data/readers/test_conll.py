"""CoNLL files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.data.reader import READERS
from edgekd.errors import DataError


def open_text(path: Path, text: str, **fields: object):
    path.write_text(text, encoding="utf-8")
    return READERS.parse({"conll": {"path": str(path), **fields}}).open()


def test_words_tags_and_splits(tmp_path: Path) -> None:
    (tmp_path / "test.conll").write_text("nein O\n")
    listing = open_text(
        tmp_path / "a.conll",
        "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nTschüß UH O\n",
        test_path=str(tmp_path / "test.conll"),
    )
    assert listing.classes == ["B-ORG", "O"]
    assert [(s.origin, s.load(), s.tags, s.split) for s in listing.samples] == [
        ("train/00000003", ["EU", "rejects"], (0, 1), "train"),
        ("train/00000007", ["Tschüß"], (1,), "train"),
        ("test/00000001", ["nein"], (1,), "test"),
    ]


def test_other_columns(tmp_path: Path) -> None:
    listing = open_text(tmp_path / "a.conll", "1 a X z\n2 b Y z\n", word=1, tag=2)
    assert listing.classes == ["X", "Y"] and listing.samples[0].load() == ["a", "b"]


@pytest.mark.parametrize(("text", "fields"), [("alone\n", {}), ("a O\n", {"tag": 3})])
def test_lines_without_a_tag_are_refused(tmp_path: Path, text: str, fields: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"a\.conll:1"):
        open_text(tmp_path / "a.conll", text, **fields)
