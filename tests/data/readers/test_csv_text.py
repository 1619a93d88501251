from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.data.reader import READERS
from edgekd.errors import DataError


def reader(path: Path, **fields: object):
    return READERS.parse({"csv_text": {"path": str(path), **fields}})


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8"))
    return path


def test_texts_and_labels(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", '\ufeffid,text,label\n1,"hello, world",greet\n2,"two\nlines",other\n3,tschüß,greet\n'
    )
    listing = reader(path).open()
    assert listing.classes == ["greet", "other"]
    assert [(sample.load(), sample.label, sample.split) for sample in listing.samples] == [
        ("hello, world", 0, None),
        ("two\nlines", 1, None),
        ("tschüß", 0, None),
    ]


def test_an_unquoted_comma_does_not_cut_a_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\nfine,greet\nhello, world,greet\n")
    with pytest.raises(DataError, match=r"(?s)unquoted ','.*a\.csv:3.*3 fields"):
        reader(path).open()


def test_blanks_around_a_label_make_no_other_class(tmp_path: Path) -> None:
    listing = reader(write(tmp_path / "a.csv", "text,label\n one,a\ntwo, a\nthree,b \n")).open()
    assert listing.classes == ["a", "b"] and [sample.label for sample in listing.samples] == [0, 0, 1]
    assert listing.samples[0].load() == " one"


def test_a_test_file_is_the_test_split(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", "q;c\nx;1\n")
    test = write(tmp_path / "b.csv", "q;c\ny;2\n")
    found = reader(train, test_path=str(test), text="q", label="c", delimiter=";")
    assert [(s.load(), s.label, s.split) for s in found.open().samples] == [("x", 0, "train"), ("y", 1, "test")]
    assert found.sources() == [train, test]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'text'"),
        ("texts,label\na,b\n", "did you mean 'texts'"),
        ("text,label\n", "no rows"),
        ("text,label\na,b\n,b\nc\nd,\n", "lines 3, 4, 5"),
        ('text,label\n"a,b\n', "no valid CSV"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        reader(write(tmp_path / "a.csv", text)).open()


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ntschüß,x\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        reader(tmp_path / "a.csv").open()


@pytest.mark.data
def test_banking77(data_root: Path) -> None:
    folder = data_root / "banking77"
    listing = reader(folder / "train.csv", test_path=str(folder / "test.csv"), label="category").open()
    assert len(listing.classes) == 77
    assert sum(sample.split == "train" for sample in listing.samples) == 10_003
    assert sum(sample.split == "test" for sample in listing.samples) == 3_080
