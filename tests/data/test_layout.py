from __future__ import annotations

import pytest

from edgekd.data.layout import Layout, detect
from edgekd.errors import DataError


def run(files: str, folders: str = "", class_names: list[str] | None = None) -> Layout:
    return detect(
        [tuple(f.split("/")) for f in files.split()], [tuple(f.split("/")) for f in folders.split()], class_names, "it"
    )


def test_class_folders() -> None:
    assert run("cat/1 dog/1 cat/2") == Layout(["cat", "dog"], [0, 1, 0], [None] * 3)


def test_split_folders_under_every_alias() -> None:
    found = run("Train/cat/1 val/dog/1 validation/cat/2 test/dog/2")
    assert found == Layout(["cat", "dog"], [0, 1, 0, 1], ["train", "validation", "validation", "test"])


def test_a_wrapping_folder_is_looked_through() -> None:
    assert run("data/v1/train/cat/1 data/v1/test/dog/2").splits == ["train", "test"]
    assert run("data/cat/1 data/dog/2").classes == ["cat", "dog"]


def test_deeper_folders_belong_to_their_class() -> None:
    assert run("cat/tabby/1 dog/2").labels == [0, 1]


def test_a_class_may_be_called_train() -> None:
    assert run("train/1 plane/1").classes == ["plane", "train"]


def test_images_alone_are_unlabelled() -> None:
    assert run("1 2") == Layout([], [None, None], [None, None])


def test_an_empty_class_folder_is_a_class() -> None:
    assert run("cat/1 dog/1", "cat dog emu").classes == ["cat", "dog", "emu"]
    assert run("train/cat/1 train/dog/1", "train train/cat train/emu docs docs/x").classes == ["cat", "dog", "emu"]


def test_the_given_order_decides_the_labels() -> None:
    assert run("cat/1 dog/1", class_names=["dog", "cat"]).labels == [1, 0]
    assert run("cat/1 dog/1", class_names=["dog", "emu", "cat"]).labels == [2, 0]
    with pytest.raises(DataError, match="did you mean 'dog'"):
        run("cat/1 dogs/1", class_names=["cat", "dog"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("cat/1 2 3", "2 images lie outside the class folders"),
        ("train/1 test/2", "without class folders"),
        ("train/cat/1 extra/cat/1", "side by side"),
        ("test/cat/1 val/cat/1", "no train folder"),
    ],
)
def test_other_trees_are_refused(files: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        run(files)
