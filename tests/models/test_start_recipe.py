"""`student.init` and `student.prune` in a recipe: what is accepted, refused, and how it ends up in the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from edgekd.errors import RecipeError
from edgekd.pipeline import train_models
from edgekd.progress import Progress
from edgekd.recipe import load_recipe
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData, prepare_data
from edgekd.steps.networks import FloatModel
from edgekd.steps.train import Lesson, open_model
from edgekd.store import Entry, Store, key_of

from ..conftest import RECIPE

STUDENT = "student:\n  model: {cifar_resnet: {depth: 8}}"


def written(folder: Path, old: str, new: str) -> Path:
    assert old in RECIPE
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        (
            "model: {timm: {name: resnet18}}\n  init: alternate",
            "student.init: .*different families, timm and cifar_resnet",
        ),
        ("model: {cifar_resnet: {depth: 8}}\n  weights: x.pt\n  init: alternate", "either weights or 'init'"),
        ("weights: x.pt\n  prune: {channels: 0.5}", "either weights or 'prune'"),
        ("model: {cifar_resnet: {depth: 8}}\n  init: alternat", "student.init: .*did you mean 'alternate'"),
        ("model: {cifar_resnet: {depth: 8}}\n  init: {width: {importance: random}}", "student.init.*'random'"),
        ("model: {cifar_resnet: {depth: 8}}\n  init: alternate\n  prune: {channels: 0.5}", "either init or prune"),
        ("model: {cifar_resnet: {depth: 14}}\n  prune: {channels: 0.5}", "leave student.model out"),
        ("prune: {channels: 1}", "student.prune.channels: .*less than 1.*received 1"),
        ("prune: {heads: 0.0}", "student.prune.heads: .*greater than 0"),
        ("prune: {importance: taylor}", "give the share to remove of channels, ffn or heads"),
        ("prune: {channels: 0.5, filters: 0.5}", "unknown key.*accepted: channels, ffn, heads, importance"),
    ],
)
def test_impossible_starts(tmp_path: Path, student: str, expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        load_recipe(written(tmp_path, STUDENT, f"student:\n  {student}"))


def test_a_start_needs_a_teacher_and_is_the_students(tmp_path: Path) -> None:
    raw = yaml.safe_load(RECIPE)
    for key, value in (("init", "alternate"), ("prune", {"channels": 0.5})):
        alone = {**raw, "student": {**raw["student"], key: value}, "distill": {"losses": ["ce"]}}
        del alone["teacher"]
        swapped = {**raw, "teacher": {**raw["teacher"], key: value}}
        for recipe, expected in (
            (alone, "starts from the one network of a teacher section"),
            (swapped, f"only a student can have '{key}'"),
        ):
            (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
            with pytest.raises(RecipeError, match=expected):
                load_recipe(tmp_path / "recipe.yaml")


def test_a_pruned_student_has_the_teachers_model(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, STUDENT, "student: {prune: {channels: 0.5}}")).recipe
    assert recipe.teacher is not None and recipe.student.model == recipe.teacher.model
    entry = Entry(tmp_path, {}, "one", {})
    assert FloatModel("student", recipe.student, entry, entry).name == "cifar_resnet 8, pruned"


def test_pruned_then_distilled(tmp_path: Path) -> None:
    """On real digits, small: the pruned student and its baseline are narrow, learn, and open again."""
    path = written(tmp_path, STUDENT, "student: {prune: {channels: 0.5}}")
    text = path.read_text().replace("[28, 28]", "[8, 8]").replace("batch_size: 64", "batch_size: 64, threads: 1")
    path.write_text(text)
    loaded = load_recipe(path)
    context = Context(loaded.recipe, loaded.raw, Store(tmp_path / "store", print), Progress(quiet=True))
    data = prepare_data(context)
    teacher, student, alone = train_models(context, data).models
    assert student.entry.info["start"] == {"channels": {"layers": 3, "units_before": 112, "units_after": 56}}
    assert alone.entry.info["start"] == student.entry.info["start"]
    for model in (student, alone):
        assert model.evaluation.info["parameters"] < 0.6 * teacher.evaluation.info["parameters"]
        assert model.evaluation.info["macs"] < 0.6 * teacher.evaluation.info["macs"]
        assert model.evaluation.info["accuracy"] > 0.5
        inputs = json.loads((model.entry.folder / "entry.json").read_text())["inputs"]
        assert inputs["start"]["teacher"] == teacher.key()
    opened = open_model(student.section, student.entry, data.open(), 0)
    assert cast(Any, opened).layer3[0].conv1.out_channels == 32
    assert student.entry.digest != alone.entry.digest


def test_what_a_student_is_made_of_is_in_its_key(tmp_path: Path) -> None:
    """Another init, another share, another importance, another teacher."""
    resnet = "model: {cifar_resnet: {depth: 8}}"
    starts = [f"{{{resnet}, init: {init}}}" for init in ("alternate", "width", "{subset: {blocks: [0]}}")]
    starts += [f"{{prune: {{channels: {fields}}}}}" for fields in ("0.5", "0.25", "0.5, importance: magnitude")]
    keys: list[str] = []
    data = PreparedData(Entry(tmp_path, {}, "data", {}), "data", "calibration")
    for student in starts:
        recipe = load_recipe(written(tmp_path, STUDENT, f"student: {student}")).recipe
        assert recipe.teacher is not None
        for weights in ("one", "two"):
            entry = Entry(tmp_path, {}, weights, {})
            origin = FloatModel("teacher", recipe.teacher, entry, entry)
            keys.append(key_of({"start": Lesson(data, recipe.student, [], [], 0, origin=origin).start()}))
    assert len(set(keys)) == len(keys) == 12
    assert Lesson(data, recipe.student, [], [], 0).start() is None
