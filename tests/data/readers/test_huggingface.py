from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from pydantic import ValidationError

from edgekd.data import DataSection, data_key, prepare
from edgekd.data.reader import READERS, Reader
from edgekd.errors import DataError
from edgekd.progress import QUIET

from ..conftest import picture, write_tree


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def reader(path: Path | None, **fields: object) -> Reader:
    return READERS.load("huggingface").model_validate({"path": path, **fields})


def rows(labels: list[object], start: int, label: object) -> datasets.Dataset:
    features = datasets.Features({"picture": datasets.Image(), "kind": label})
    images = [picture(start + index) for index in range(len(labels))]
    return datasets.Dataset.from_dict({"picture": images, "kind": labels}, features=features)


def names(*values: str) -> object:
    return datasets.ClassLabel(names=list(values))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    both = {"train": rows([0, 1] * 8, 0, names("cat", "dog")), "test": rows([1, 0, 1], 50, names("cat", "dog"))}
    datasets.DatasetDict(both).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_dataset(saved: Path) -> None:
    listing = reader(saved, image="picture", label="kind", test="test").open()
    assert listing.classes == ["cat", "dog"]
    assert [(s.label, s.split) for s in listing.samples[-3:]] == [(1, "test"), (0, "test"), (1, "test")]
    assert np.array_equal(np.asarray(listing.samples[17].load()), np.asarray(picture(51)))


def test_prepared_and_keyed(saved: Path, tmp_path: Path) -> None:
    found = {"huggingface": {"path": str(saved), "image": "picture", "label": "kind", "test": "test"}}
    section = DataSection.model_validate({"reader": found, "size": [10, 12]})
    (tmp_path / "out").mkdir()
    facts = prepare(section, 0, tmp_path / "out", QUIET)
    assert facts["counts"]["test"] == {"cat": 1, "dog": 2}
    before = data_key(section, 0)
    moved = saved.rename(tmp_path / "moved")
    found["huggingface"]["path"] = str(moved)
    section = DataSection.model_validate({"reader": found, "size": [10, 12]})
    assert data_key(section, 0) == before
    arrow = next(moved.rglob("train/*.arrow"))
    arrow.write_bytes(arrow.read_bytes() + b"\0")
    assert data_key(section, 0) != before


def test_parquet_files_by_split(tmp_path: Path) -> None:
    rows(["b", "a", "b"], 0, datasets.Value("string")).to_parquet(tmp_path / "one.parquet")
    rows(["a"], 9, datasets.Value("string")).to_parquet(tmp_path / "two.parquet")
    files = {"train": [str(tmp_path / "one.parquet")], "held": [str(tmp_path / "two.parquet")]}
    found = reader(None, name="parquet", data_files=files, image="picture", label="kind", test="held")
    listing = found.open()
    assert listing.classes == ["a", "b"]
    assert [(s.label, s.split) for s in listing.samples] == [(1, "train"), (0, "train"), (1, "train"), (0, "test")]
    assert np.array_equal(np.asarray(listing.samples[3].load()), np.asarray(picture(9)))
    assert [path.name for path in found.sources()] == ["two.parquet", "one.parquet"]


def test_an_image_folder_is_read_anew_when_a_file_changed_with_its_date_kept(tmp_path: Path) -> None:
    import os

    tree = write_tree(tmp_path / "tree", {"train/cat": 2, "train/dog": 2})
    path = tree / "train" / "cat" / "000.png"
    status = path.stat()
    assert np.array_equal(np.asarray(reader(tree).open().samples[0].load()), np.asarray(picture(0)))
    picture(77).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert np.array_equal(np.asarray(reader(tree).open().samples[0].load()), np.asarray(picture(77)))


def test_corrupt_rows_are_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"train/cat": 4, "train/dog": 4})
    (tree / "train" / "dog" / "002.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    section = DataSection.model_validate({"reader": {"huggingface": {"path": str(tree)}}, "size": [10, 12]})
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="huggingface:train/00000006"):
        prepare(section, 0, tmp_path / "out", QUIET)


def test_labels_outside_the_classes_are_listed(tmp_path: Path) -> None:
    rows([0, 1, -1, 1, -1], 0, names("cat", "dog")).save_to_disk(tmp_path / "saved")
    found = {"huggingface": {"path": str(tmp_path / "saved"), "image": "picture", "label": "kind"}}
    with pytest.raises(DataError, match="2 labels are outside the classes") as caught:
        prepare(DataSection.model_validate({"reader": found, "size": 8}), 0, tmp_path, QUIET)
    assert "-1 at huggingface:train/00000002" in str(caught.value) and "0 to 1" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"label": "kind"}, "no column 'image'"),
        ({"image": "pictur", "label": "kind"}, "did you mean 'picture'"),
        ({"image": "kind", "label": "kind"}, "holds no images"),
        ({"image": "picture", "label": "kind", "test": "tests"}, "did you mean 'test'"),
    ],
)
def test_wrong_names_are_explained(saved: Path, fields: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        reader(saved, **fields).open()


def test_unlabelled_sets_serve_calibration(saved: Path) -> None:
    listing = reader(saved, image="picture", label=None).open()
    assert listing.classes == [] and {sample.label for sample in listing.samples} == {None}


def test_hub_datasets_need_a_commit() -> None:
    one, other = (reader(None, name=name, revision="a" * 40) for name in ("owner/name", "owner/other"))
    assert one.sources() == [] and one.identity() != other.identity()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "owner/name"}, "needs revision, its full commit hash"),
        ({"name": "owner/name", "revision": "main"}, "40 hex digits"),
        ({}, "either path"),
        ({"path": "a", "name": "b"}, "either path"),
        ({"path": "a", "data_files": {"train": ["a.parquet"]}}, "the kind of the files"),
    ],
)
def test_what_has_no_fixed_content_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        READERS.load("huggingface").model_validate(fields)


def test_a_url_is_no_local_file() -> None:
    with pytest.raises(DataError, match="no file or folder"):
        reader(None, name="parquet", data_files={"train": ["https://example.org/a.parquet"]}).open()
