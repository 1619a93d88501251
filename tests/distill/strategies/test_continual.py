"""Continual distillation: forgetting is measured on the old task, and replay and keep change what is learnt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from edgekd.steps.evaluate import evaluate

from .conftest import RECIPE, TRAIN, Run, distill, folders, fresh, report

OLD = {"image_folder": {"path": "old.zip"}}
LONG = {**TRAIN, "epochs": 8}
DATA = {**RECIPE["data"], "normalize": {"mean": [0.5], "std": [0.35]}}


@pytest.fixture(scope="module")
def student(run: Run, digits: Path) -> dict[str, Any]:
    """A student that has learnt the old digits."""
    section = {"losses": ["ce"], "train": LONG}
    school = run(teacher=None, distill=section, data={**DATA, "reader": OLD})
    shutil.copy(folders(school)["student"] / "model.safetensors", digits / "old.safetensors")
    assert school.models[0].evaluation.info["accuracy"] > 0.4
    return {**RECIPE["student"], "weights": "old.safetensors"}


def continual(train: dict[str, Any] = TRAIN, **fields: Any) -> dict[str, Any]:
    strategy = {"continual": {"old_data": OLD, "replay": 60, **fields}}
    return distill(train=train, strategy=strategy, baselines=["student_alone"])


def test_forgetting_is_measured_before_and_after(run: Run, student: dict[str, Any], tmp_path: Path) -> None:
    school = run(data=DATA, student=student, distill=continual(LONG))
    assert list(folders(school)) == ["teacher", "old_student", "student", "student_alone"]
    rows = school.forgetting()
    assert [row["role"] for row in rows] == ["student", "student_alone"]
    assert school.old is not None
    data, old = school.old
    for row, model in zip(rows, school.models[2:], strict=True):
        assert row["samples"] == 60 and row["before"] == rows[0]["before"] > 0.4
        assert row["after"] == evaluate(school.context, data, model.section, model.entry).info["accuracy"]
    assert rows[0]["after"] > rows[1]["after"]  # replay keeps more than learning the new data alone
    numbers, page = report(school, tmp_path)
    assert numbers["forgetting"] == rows and "Forgetting: on the old task the student scores" in page
    assert old.entry.files["model.safetensors"] and not fresh(run(data=DATA, student=student, distill=continual(LONG)))


def test_a_student_that_knows_nothing_is_warned_about(run: Run, student: dict[str, Any], digits: Path) -> None:
    """With a head of zeros it answers the same to every image."""
    tensors = load_file(digits / student["weights"])
    zeros = {name: np.zeros_like(item) if name.startswith("linear") else item for name, item in tensors.items()}
    save_file(zeros, digits / "zeros.safetensors")
    # A teacher of one epoch may be no better than its student, which is told as well.
    told = run(data=DATA, student={**student, "weights": "zeros.safetensors"}, distill=continual(replay=10)).warnings
    (warning,) = [text for text in told if "before it learns the new one" in text]
    assert "data.normalize" in warning


def test_every_option_has_a_student_of_its_own(run: Run, student: dict[str, Any]) -> None:
    options: list[dict[str, Any]] = [{}, {"replay": 50}, {"replay": 0}, {"keep": 0.25}]
    keys = {folders(run(data=DATA, student=student, distill=continual(**fields)))["student"] for fields in options}
    keys.add(folders(run(data=DATA, student=student, teacher=None, distill=continual()))["student"])
    assert len(keys) == len(options) + 1


def test_the_exemplars_come_after_the_new_images_evenly_over_the_classes(run: Run, student: dict[str, Any]) -> None:
    school = run(data=DATA, student=student, distill=continual())
    new = school.data.open()
    (entry,) = [
        path for path in (school.context.store.root / "replay").glob("*/labels.npy") if len(np.load(path)) == 300
    ]
    labels, images = np.load(entry), np.load(entry.with_name("images.npy"))
    assert np.array_equal(images[:240], new.images) and np.bincount(labels[240:]).tolist() == [6] * 10
    assert school.old is not None
    old = school.old[0].open()
    train = {image.tobytes() for image in old.images[old.indices("train")]}
    assert all(image.tobytes() in train for image in images[240:])
    assert old.preprocess == new.preprocess
    assert (np.load(entry.with_name("split.npy"))[240:] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"student": RECIPE["student"]}, "give student.weights"),
        ({"distill": continual(old_data=RECIPE["data"]["reader"])}, "nothing is new"),
        ({"distill": {**continual(), "losses": ["ce"]}}, "nothing keeps the old task"),
        ({"distill": {**continual(), "teacher_outputs": "recomputed"}}, "mixed from cached outputs"),
        ({"distill": {**continual(), "losses": [{"hint": {"student": "a", "teacher": "b"}}]}}, "more than one network"),
        ({"teacher": None, "teachers": [RECIPE["teacher"]] * 2}, "one new teacher at most"),
        ({"distill": continual(old_data={"image_folder": {"path": "none.zip"}})}, "there is no file or folder"),
        ({"distill": continual(replay=1000)}, "too few training samples"),
        ({"distill": continual(old_data={"image_folder": {"path": "few.zip"}})}, "different classes"),
    ],
)
def test_refusals(run: Run, student: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        run(**{"data": DATA, "student": student, "distill": continual(), **changes})
