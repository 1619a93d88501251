from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekd.data import DataSection, prepare
from edgekd.data.arrays import ImageData
from edgekd.errors import DataError, StoreError
from edgekd.progress import QUIET

from .conftest import pack, picture, section, write_tree


def run(data: DataSection, folder: Path, seed: int = 0) -> ImageData:
    folder.mkdir(parents=True, exist_ok=True)
    facts = prepare(data, seed, folder, QUIET)
    loaded = ImageData.load(folder)
    assert loaded.facts == json.loads(json.dumps(facts))
    return loaded


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", {"cat": 20, "dog": 30})


def test_images_labels_and_facts(tree: Path, tmp_path: Path) -> None:
    data = run(section(tree), tmp_path / "out")
    paths = sorted(tree.rglob("*.png"))
    assert data.classes == ("cat", "dog")
    assert data.images.shape == (50, 10, 12, 3) and data.images.dtype == np.uint8
    for index, path in enumerate(paths):
        assert np.array_equal(data.images[index], np.array(Image.open(path)))
        assert data.classes[data.labels[index]] == path.parent.name
    assert data.facts["counts"] == {
        "train": {"cat": 14, "dog": 22},
        "validation": {"cat": 2, "dog": 2},
        "test": {"cat": 4, "dog": 6},
    }
    train = data.images[data.indices("train")] / 255
    assert np.allclose(data.preprocess.mean, train.mean(axis=(0, 1, 2)), atol=1e-12)
    assert np.allclose(data.preprocess.std, train.std(axis=(0, 1, 2)), atol=1e-12)
    normal = data.preprocess.apply(np.asarray(data.images[data.indices("train")]))
    assert abs(float(normal.mean())) < 1e-5 and abs(float(normal.std()) - 1) < 1e-3


def test_calibration_is_from_train_alone(tree: Path, tmp_path: Path) -> None:
    data = run(section(tree, calibration={"samples": 12}), tmp_path / "out")
    train = {image.tobytes() for image in data.images[data.indices("train")]}
    assert data.calibration.shape == (12, 10, 12, 3)
    assert all(image.tobytes() in train for image in data.calibration)
    assert data.facts["calibration"]["coverage"] == {"cat": 5, "dog": 7}
    assert (
        data.facts["calibration"]["sha256"]
        == hashlib.sha256(b"(12, 10, 12, 3)" + data.calibration.tobytes()).hexdigest()
    )
    assert "below 100 the ranges are unreliable" in str(data.facts["calibration"]["warnings"])


def test_the_same_bytes_every_time_whatever_the_order_of_files(tree: Path, tmp_path: Path) -> None:
    backwards = tmp_path / "backwards"
    for path in sorted(tree.rglob("*.png"), reverse=True):
        (backwards / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, backwards / path.parent.name / path.name)
    for name, source, seed in (
        ("a", tree, 3),
        ("b", backwards, 3),
        ("c", tree, 4),
        ("z", pack(tree, tmp_path / "z.zip"), 3),
    ):
        run(section(source), tmp_path / name, seed)
    (tmp_path / "b" / "images.npy").touch()
    run(section(backwards), tmp_path / "b", 3)  # over an earlier attempt
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["calibration.npy", "data.json", "images.npy", "labels.npy", "split.npy"]
    for other in ("b", "z"):
        assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / other / n).read_bytes() for n in names)
    assert (tmp_path / "a" / "split.npy").read_bytes() != (tmp_path / "c" / "split.npy").read_bytes()


def test_a_sources_own_test_split_is_kept(tmp_path: Path) -> None:
    write_tree(
        tmp_path / "tree", {"train/cat": 10, "train/dog": 10, "test/cat": 3, "test/dog": 4, "val/cat": 2, "val/dog": 2}
    )
    data = run(section(tmp_path / "tree"), tmp_path / "out")
    assert data.facts["counts"] == {
        "train": {"cat": 10, "dog": 10},
        "validation": {"cat": 2, "dog": 2},
        "test": {"cat": 3, "dog": 4},
    }


def damage(tree: Path) -> dict[str, str]:
    """Three broken files beside the good ones; their origins with the reason expected."""
    picture(900, (64, 64)).save(tree / "cat" / "cut.jpg", quality=95)
    (tree / "cat" / "cut.jpg").write_bytes((tree / "cat" / "cut.jpg").read_bytes()[:2000])
    (tree / "dog" / "empty.png").touch()
    (tree / "dog" / "text.png").write_text("hello")
    return {"cat/cut.jpg": "truncated", "dog/empty.png": "empty", "dog/text.png": "not an image"}


@pytest.mark.parametrize("packed", [False, True])
def test_corrupt_images_are_all_named(tree: Path, tmp_path: Path, packed: bool) -> None:
    bad = damage(tree)
    source = pack(tree, tmp_path / "tree.zip") if packed else tree
    with pytest.raises(DataError) as caught:
        run(section(source), tmp_path / "out")
    mark = "!" if packed else "/"
    for origin, reason in bad.items():
        assert f"{source}{mark}{origin}" in str(caught.value) and reason in str(caught.value)
    assert "on_corrupt: skip" in str(caught.value)


def test_corrupt_images_are_skipped_on_request(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = run(section(tree), tmp_path / "clean")
    bad = damage(tree)
    data = run(section(tree, on_corrupt="skip"), tmp_path / "out")
    assert np.array_equal(data.images, clean.images) and np.array_equal(data.split, clean.split)
    assert [entry["origin"] for entry in data.facts["corrupt"]] == sorted(bad)
    assert "warning: skipped 3 images" in capsys.readouterr().err


def test_a_class_of_corrupt_images_alone_is_named(tree: Path, tmp_path: Path) -> None:
    (tree / "emu").mkdir()
    (tree / "emu" / "1.png").touch()
    with pytest.raises(DataError, match="no samples after 1 corrupt images were skipped") as caught:
        run(section(tree, on_corrupt="skip"), tmp_path / "out")
    assert "emu" in str(caught.value)


def test_empty_classes_are_named_before_any_work(tree: Path, tmp_path: Path) -> None:
    (tree / "emu").mkdir()
    (tree / "fox").mkdir()
    with pytest.raises(DataError, match="emu, fox"):
        run(section(tree), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_images_in_train_and_test_are_counted(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"train/cat": 10, "train/dog": 10, "test/cat": 3, "test/dog": 3})
    for index in (1, 2):
        shutil.copy(tree / "train/cat" / f"00{index}.png", tree / "test/cat" / f"copy{index}.png")
    data = run(section(tree), tmp_path / "out")
    assert any(
        text.startswith("2 images of the train or validation split are also in the test")
        for text in data.facts["warnings"]
    )
    test = {image.tobytes() for image in data.images[data.indices("test")]}
    assert not any(image.tobytes() in test for image in data.calibration)
    assert not any(
        "also in the test" in text for text in run(section(tree / "train"), tmp_path / "b").facts["warnings"]
    )


def test_given_normalisation_is_used(tree: Path, tmp_path: Path) -> None:
    data = run(section(tree, normalize={"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}), tmp_path / "out")
    assert data.preprocess.mean == (0.1, 0.2, 0.3) and data.preprocess.std == (0.4, 0.5, 0.6)


def test_a_flat_channel_does_not_divide_by_zero(tmp_path: Path) -> None:
    for name, level in (("dark", 1), ("light", 200)):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for index in range(5):
            Image.new("RGB", (12, 10), (level + index, 7, 7)).save(tmp_path / "tree" / name / f"{index}.png")
    data = run(section(tmp_path / "tree"), tmp_path / "out")
    assert data.preprocess.std[1:] == (1.0, 1.0)
    assert np.isfinite(data.preprocess.apply(np.asarray(data.images))).all()
    assert "all training pixels of channel 1 are equal" in data.facts["warnings"]


def test_what_does_not_fit_on_the_disk_is_refused_first(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="do not fit on the disk"):
        run(section(tree, size=[400_000, 400_000]), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("folders", "said"),
    [({".": 5}, "5 images have no class"), ({"cat": 5}, "at least two classes"), ({"cat": 5, "dog": 2}, "dog: 2")],
)
def test_sources_that_cannot_train_a_classifier(tmp_path: Path, folders: dict[str, int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        run(section(write_tree(tmp_path / "tree", folders)), tmp_path / "out")


@pytest.mark.data
def test_cifar10(data_root: Path, tmp_path: Path) -> None:
    reader = {"image_folder": {"path": data_root / "cifar10" / "cifar10-jpeg.zip"}}
    data = run(DataSection.model_validate({"reader": reader, "size": 32}), tmp_path / "out")
    assert data.images.shape == (60_000, 32, 32, 3)
    assert [set(table.values()) for table in data.facts["counts"].values()] == [{4500}, {500}, {1000}]
    assert data.classes[3:6] == ("cat", "deer", "dog")
    assert np.allclose(data.preprocess.mean, (0.491, 0.482, 0.447), atol=0.002)  # CIFAR-10's published mean
    assert data.facts["warnings"] == [] and data.facts["calibration"]["warnings"] == []
    assert min(data.facts["calibration"]["coverage"].values()) == 25
