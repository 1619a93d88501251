from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekd.data.reader import READERS
from edgekd.errors import DataError

from ..conftest import pack, picture, write_tree


def reader(path: Path, **fields: object):
    return READERS.parse({"image_folder": {"path": str(path), **fields}})


@pytest.mark.parametrize("packed", [False, True])
def test_samples_are_sorted_labelled_and_decode(tmp_path: Path, packed: bool) -> None:
    tree = write_tree(tmp_path / "tree", {"train/dog": 2, "train/cat": 1, "test/cat": 1})
    (tree / "train" / "cat" / "notes.txt").write_text("not an image")
    found = reader(pack(tree, tmp_path / "t.zip") if packed else tree)
    listing = found.open()
    assert found.open().classes == ["cat", "dog"]
    assert [(sample.origin, sample.label, sample.split) for sample in found.open().samples] == [
        ("test/cat/000.png", 0, "test"),
        ("train/cat/000.png", 0, "train"),
        ("train/dog/000.png", 1, "train"),
        ("train/dog/001.png", 1, "train"),
    ]
    assert np.array_equal(np.asarray(listing.samples[2].load()), np.asarray(picture(0)))
    assert listing.warnings == ["1 files are no images by their suffix and were left out: train/cat/notes.txt"]


def test_places_can_be_found_by_the_user(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"cat": 1})
    assert Path(reader(tree).place("cat/000.png")).is_file()
    assert reader(pack(tree, tmp_path / "t.zip")).place("cat/000.png") == f"{tmp_path}/t.zip!cat/000.png"


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match="no images"):
        reader(tmp_path).open()


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="cannot be opened"):
        reader(tmp_path / "a.txt").open()
