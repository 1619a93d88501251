from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekd.data import DataSection, prepare
from edgekd.data.arrays import ImageData
from edgekd.data.image_calibration import domain_shift
from edgekd.data.prepared import Prepared
from edgekd.errors import DataError
from edgekd.progress import QUIET

from .conftest import section, write_tree

DIGITS = {"reader": "mnist5k", "size": 28, "channels": 1}


def run(data: DataSection, folder: Path) -> ImageData:
    folder.mkdir(parents=True, exist_ok=True)
    prepare(data, 0, folder, QUIET)
    return ImageData.load(folder)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return run(DataSection.model_validate(DIGITS), tmp_path_factory.mktemp("digits"))


def folder_reader(path: Path) -> dict[str, Any]:
    return {"image_folder": {"path": str(path)}}


def test_digits_need_no_warning(digits: ImageData) -> None:
    assert digits.facts["calibration"]["warnings"] == [] and digits.facts["warnings"] == []
    assert digits.facts["calibration"]["source"] == "train"
    assert min(digits.facts["calibration"]["coverage"].values()) >= 25


def shift_of(digits: ImageData, images: np.ndarray) -> tuple[dict[str, Any], list[str]]:
    return domain_shift(images, Prepared(digits.images, digits.labels, digits.split, [], digits.classes))


def shift_warned(digits: ImageData, images: np.ndarray) -> bool:
    return any("another domain" in text for text in shift_of(digits, images)[1])


def test_chance_alone_is_no_domain_shift(digits: ImageData) -> None:
    train = digits.images[digits.indices("train")]
    random = np.random.default_rng(0)
    assert not any(shift_warned(digits, train[random.permutation(len(train))[:100]]) for _ in range(100))


@pytest.mark.parametrize("change", ["inverted", "darkened", "low contrast", "brightened"])
def test_another_domain_is_warned_about(digits: ImageData, change: str) -> None:
    images = np.asarray(digits.images[digits.indices("train")[:200]])
    changed = {
        "inverted": 255 - images,
        "darkened": images // 2,
        "low contrast": images // 2 + 64,
        "brightened": np.clip(images.astype(int) + 100, 0, 255).astype(np.uint8),
    }[change]
    assert shift_warned(digits, changed)
    if change == "inverted":
        mean, std = digits.preprocess.mean[0], digits.preprocess.std[0]
        expected = (changed.mean() / 255 - mean) / std
        assert shift_of(digits, changed)[0]["channel_mean_shift"][0] == pytest.approx(expected, abs=1e-5)
        assert shift_of(digits, changed)[0]["channel_std_ratio"][0] == pytest.approx(
            changed.std() / 255 / std, abs=1e-5
        )


def test_shipped_digits_in_the_test_split_are_left_out(digits: ImageData, tmp_path: Path) -> None:
    """The shipped digits come from the same csv: those that fell into the test split must not come back."""
    own = {"samples": 200, "reader": {"shipped": {"domain": "digits"}}}
    data = run(DataSection.model_validate({**DIGITS, "calibration": own}), tmp_path)
    test = {image.tobytes() for image in digits.images[digits.indices("test")]}
    assert not any(image.tobytes() in test for image in data.calibration)
    facts = data.facts["calibration"]
    assert facts["overlap_removed"] > 0 and facts["samples"] == 200 - facts["overlap_removed"]
    assert sum(facts["coverage"].values()) == facts["samples"]
    assert facts["source"] == "shipped" and "BSD-3-Clause" in facts["licence"]
    assert any("200 were asked for" in text for text in facts["warnings"])


def test_an_unlabelled_folder_will_do(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"cat": 10, "dog": 10})
    own = write_tree(tmp_path / "own", {".": 6}, start=500)
    data = run(section(tree, calibration={"samples": 4, "reader": folder_reader(own)}), tmp_path / "out")
    pixels = {np.array(Image.open(path)).tobytes() for path in own.iterdir()}
    assert len(data.calibration) == 4 and all(image.tobytes() in pixels for image in data.calibration)
    assert data.facts["calibration"]["coverage"] is None
    assert any("class coverage is unknown" in text for text in data.facts["calibration"]["warnings"])


def test_uncovered_classes_are_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"cat": 10, "dog": 10, "emu": 10})
    own = write_tree(tmp_path / "own", {"cat": 3, "emu": 3}, start=500)
    facts = run(section(tree, calibration={"reader": folder_reader(own)}), tmp_path / "out").facts["calibration"]
    assert facts["coverage"] == {"cat": 3, "dog": 0, "emu": 3}
    assert any("covers 2 of 3 classes; without: dog" in text for text in facts["warnings"])


def test_a_readers_own_test_images_are_not_used(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"cat": 10, "dog": 10})
    own = write_tree(tmp_path / "own", {"train/cat": 3, "train/dog": 3, "test/cat": 9}, start=500)
    facts = run(section(tree, calibration={"reader": folder_reader(own)}), tmp_path / "out").facts["calibration"]
    assert facts["samples"] == 6


def test_corrupt_calibration_images(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"cat": 10, "dog": 10})
    own = write_tree(tmp_path / "own", {".": 5}, start=500)
    (own / "bad.png").write_text("no image")
    fields = {"calibration": {"samples": 6, "reader": folder_reader(own)}}
    with pytest.raises(DataError, match=r"own/bad\.png"):
        run(section(tree, **fields), tmp_path / "out")
    facts = run(section(tree, on_corrupt="skip", **fields), tmp_path / "out").facts["calibration"]
    assert facts["samples"] == 5 and any("bad.png" in text for text in facts["warnings"])


def test_a_set_that_is_all_test_images_is_refused(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"train/cat": 5, "train/dog": 5, "test/cat": 3, "test/dog": 3})
    with pytest.raises(DataError, match="no calibration image remains") as caught:
        run(section(tree, calibration={"reader": folder_reader(tree / "test" / "cat")}), tmp_path / "out")
    assert "3 images, 3 in the test split" in str(caught.value)
