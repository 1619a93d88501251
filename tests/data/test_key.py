from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd.data import READERS, DataSection, data_key
from edgekd.data.key import reader_key
from edgekd.errors import DataError
from edgekd.store import key_of

from .conftest import pack, section, write_tree


def key(path: Path, seed: int = 0, **fields: object) -> str:
    return key_of(data_key(section(path, **fields), seed))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", {"cat": 3, "dog": 3})


def test_a_moved_folder_keeps_its_key(tree: Path, tmp_path: Path) -> None:
    before = key(tree)
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(tree, moved)
    assert key(moved) == before
    one, two = pack(tree, tmp_path / "one.zip"), tmp_path / "two.zip"
    shutil.copy(one, two)
    assert key(one) == key(two)


def test_everything_that_can_change_the_result_changes_the_key(tree: Path, tmp_path: Path) -> None:
    found = {"as it is": key(tree), "seed": key(tree, seed=1)}
    for name, fields in {
        "size": {"size": [11, 12]},
        "channels": {"channels": 1},
        "validation": {"validation": 0.2},
        "test": {"test": 0.3},
        "normalize": {"normalize": {"mean": [0.5] * 3, "std": [0.5] * 3}},
        "on_corrupt": {"on_corrupt": "skip"},
        "calibration samples": {"calibration": {"samples": 7}},
        "calibration reader": {
            "calibration": {"samples": 256, "reader": {"image_folder": {"path": str(tree / "cat")}}}
        },
        "label order": {"reader": {"image_folder": {"path": str(tree), "class_names": ["dog", "cat"]}}},
        "licence": {"reader": {"image_folder": {"path": str(tree), "licence": "CC0-1.0"}}},
    }.items():
        found[name] = key(tree, **fields)

    renamed_class = shutil.copytree(tree, tmp_path / "renamed class")
    (renamed_class / "dog").rename(renamed_class / "fox")
    found["class name"] = key(renamed_class)
    swapped = shutil.copytree(tree, tmp_path / "swapped")
    (swapped / "cat" / "000.png").rename(swapped / "dog" / "900.png")
    found["an image in another class"] = key(swapped)
    flipped = shutil.copytree(tree, tmp_path / "flipped")
    data = bytearray((flipped / "cat" / "000.png").read_bytes())
    data[-20] ^= 1
    (flipped / "cat" / "000.png").write_bytes(data)
    found["a flipped bit"] = key(flipped)
    (tmp_path / "zip.zip").write_bytes(pack(tree, tmp_path / "a.zip").read_bytes())
    found["a zip"] = key(tmp_path / "zip.zip")

    assert len(set(found.values())) == len(found), found


def test_the_calibration_data_is_part_of_the_key(tree: Path, tmp_path: Path) -> None:
    own = write_tree(tmp_path / "own", {".": 2}, start=50)
    fields = {"calibration": {"reader": {"image_folder": {"path": str(own)}}}}
    before = key(tree, **fields)
    write_tree(own, {".": 1}, start=99)
    assert key(tree, **fields) != before


def test_missing_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        key(tmp_path / "nothing")


def test_neither_torch_nor_pillow_is_imported(tree: Path) -> None:
    program = (
        "import sys\nfrom edgekd.data import DataSection, data_key\n"
        f"reader = {{'image_folder': {{'path': {str(tree)!r}}}}}\n"
        "calibration = {'reader': {'shipped': {'domain': 'digits'}}}\n"
        "section = DataSection.model_validate({'reader': reader, 'size': 8, 'calibration': calibration})\n"
        "data_key(section, 0)\n"
        "heavy = {'torch', 'torchvision', 'PIL', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_reader_has_a_key_that_is_json(tree: Path, tmp_path: Path) -> None:
    for reader in (
        "mnist5k",
        {"shipped": {"domain": "photos"}},
        {"torchvision_dataset": {"name": "FakeData", "options": {"size": 4}}},
        {"huggingface": {"name": "owner/name", "revision": "0" * 40}},
        {"huggingface": {"path": str(tree)}},
    ):
        key_of(data_key(DataSection.model_validate({"reader": reader, "size": 8}), 0))


def test_a_missing_source_is_listed_and_not_fetched_when_only_checked(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for fields in (
        {"image_folder": {"path": str(gone)}},
        {"csv_text": {"path": str(gone)}},
        {"huggingface": {"path": str(gone)}},
        {"torchvision_dataset": {"name": "MNIST", "root": str(gone)}},
    ):
        reader = READERS.parse(fields)
        assert reader.sources() == [gone]
        with pytest.raises(DataError, match="no file or folder"):
            reader_key(reader)
    assert (
        READERS.parse({"torchvision_dataset": {"name": "MNIST", "root": str(gone), "download": True}}).sources() == []
    )
    assert not gone.exists()
