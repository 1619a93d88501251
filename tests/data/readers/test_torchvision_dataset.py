from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from edgekd.data import DataSection, data_key, prepare
from edgekd.data.reader import READERS, CorruptSample, Reader
from edgekd.errors import DataError
from edgekd.progress import QUIET

from ..conftest import picture, write_tree


def reader(name: str, **fields: object) -> Reader:
    return READERS.parse({"torchvision_dataset": {"name": name, **fields}})


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """MNIST's own file format, holding 40 + 10 random digits."""
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for prefix, count in (("train", 40), ("t10k", 10)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
    return tmp_path / "root"


def test_a_dataset_with_a_train_flag(mnist: Path) -> None:
    listing = reader("MNIST", root=str(mnist)).open()
    assert listing.classes[:2] == ["0 - zero", "1 - one"]
    assert [sum(s.split == name for s in listing.samples) for name in ("train", "test")] == [40, 10]
    expected = torchvision.datasets.MNIST(str(mnist), train=False)
    for index in (0, 7):
        image, label = expected[index]
        sample = listing.samples[40 + index]
        assert sample.label == label and np.array_equal(np.asarray(sample.load()), np.asarray(image))


def test_its_files_are_its_key(mnist: Path) -> None:
    def key(seed: int = 0) -> dict[str, object]:
        found = {"torchvision_dataset": {"name": "MNIST", "root": str(mnist)}}
        return data_key(DataSection.model_validate({"reader": found, "size": 28, "channels": 1}), seed)

    before = key()
    path = mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert key() != before


def test_a_dataset_without_splits_is_prepared(tmp_path: Path) -> None:
    options = {"size": 60, "image_size": [3, 8, 8], "num_classes": 3}
    found = {"torchvision_dataset": {"name": "FakeData", "options": options}}
    facts = prepare(DataSection.model_validate({"reader": found, "size": 8}), 0, tmp_path, QUIET)
    assert facts["classes"] == ["0", "1", "2"]
    labels = [int(torchvision.datasets.FakeData(60, (3, 8, 8), 3)[index][1]) for index in range(60)]
    assert np.load(tmp_path / "labels.npy").tolist() == labels


def test_a_dataset_with_a_split_argument(tmp_path: Path) -> None:
    """GTSRB's own layout: class folders to train on, a csv of names and classes to test on."""
    base = tmp_path / "gtsrb"
    write_tree(base / "GTSRB" / "Training", {"00000": 2, "00001": 1})
    for path in base.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".ppm"))
    write_tree(base / "GTSRB" / "Final_Test" / "Images", {".": 1}, start=70)
    (base / "GT-final_test.csv").write_text("Filename;ClassId\n000.png;1\n")
    listing = reader("GTSRB", root=str(tmp_path)).open()
    assert [(s.label, s.split) for s in listing.samples] == [(0, "train"), (0, "train"), (1, "train"), (1, "test")]
    assert np.array_equal(np.asarray(listing.samples[3].load()), np.asarray(picture(70)))
    (base / "GTSRB" / "Training" / "00001" / "000.ppm").write_bytes(b"P6 broken")
    with pytest.raises(CorruptSample):
        reader("GTSRB", root=str(tmp_path)).open().samples[2].load()
    train_alone = reader("GTSRB", root=str(tmp_path), test_split=None).open()
    assert [s.split for s in train_alone.samples] == ["train"] * 3


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path, {"eurosat/2750/Forest": 4, "eurosat/2750/River": 4})
    (tmp_path / "eurosat" / "2750" / "River" / "001.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    found = {"torchvision_dataset": {"name": "EuroSAT", "root": str(tmp_path)}}
    with pytest.raises(DataError, match="1 image cannot be decoded") as caught:
        prepare(DataSection.model_validate({"reader": found, "size": 8}), 0, tmp_path, QUIET)
    assert "torchvision_dataset:all/00000005" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("CIFAR1O", {}, "did you mean 'CIFAR10'"),
        ("CIFAR10", {}, "needs a root folder"),
        ("FakeData", {"options": {"num_clases": 3}}, "did you mean 'num_classes'"),
        ("MNIST", {"root": "nowhere"}, "download: true"),
        ("SVHN", {"root": "nowhere", "test_split": "tset"}, "cannot be opened"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fields: dict[str, object], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        reader(name, **fields).open()


def test_options_of_base_classes_are_known() -> None:
    from edgekd.data.readers.torchvision_dataset import _arguments  # pyright: ignore[reportPrivateUsage]

    assert {"split", "train", "download", "root"} <= _arguments(torchvision.datasets.EMNIST)
    assert "train" not in _arguments(torchvision.datasets.SVHN)
