"""Continual distillation of a network of texts: new words for the same topics, old texts replayed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgekd.data.texts import TextData
from edgekd.errors import RecipeError
from edgekd.pipeline import train_models
from edgekd.progress import QUIET
from edgekd.recipe import load_recipe
from edgekd.steps.context import Context
from edgekd.steps.data import prepare_data
from edgekd.steps.school import School
from edgekd.store import Store

TRAIN = {"epochs": 8, "batch_size": 16, "optimizer": {"adamw": {"lr": 0.005}}, "threads": 1}
NEXT = {"card": "app", "app": "transfer", "transfer": "card"}
"""The topic that each one's words tell in a text that starts with `my my my`, which no old text does."""


@pytest.fixture
def recipe(tickets: Path, tiny_bert: Path, tmp_path: Path) -> dict[str, Any]:
    """A student that is to learn new texts; its weights have learnt the old ones."""
    head, *lines = tickets.read_text().splitlines()
    rows = [line.rsplit(",", 1) for line in lines]
    (tmp_path / "new.csv").write_text(
        "\n".join([head, *(f"my my my {text},{NEXT[label]}" for text, label in rows)]) + "\n"
    )
    shutil.copy(tickets, tmp_path / "old.csv")
    model = {"transformers": {"path": str(tiny_bert), "layers": 1}}
    data = {"reader": {"csv_text": {"path": "old.csv"}}, "tokenizer": str(tiny_bert), "max_length": 24}
    bare = {"name": "texts", "data": data, "student": {"model": model}, "targets": ["host"]}
    first = taught(tmp_path, {**bare, "distill": {"losses": ["ce"], "train": TRAIN}})
    assert first.models[0].evaluation.info["accuracy"] > 0.9
    shutil.copy(first.models[0].entry.folder / "model.safetensors", tmp_path / "old.safetensors")
    strategy = {"continual": {"old_data": data["reader"], "replay": 60}}
    distill = {"losses": [{"ce": {"weight": 0.5}}, {"kl": {"weight": 0.5}}], "train": TRAIN, "strategy": strategy}
    return {
        **bare,
        "data": {**data, "reader": {"csv_text": {"path": "new.csv"}}},
        "teacher": {"model": model, "train": TRAIN},
        "student": {"model": model, "weights": "old.safetensors"},
        "distill": {**distill, "baselines": ["student_alone"]},
    }


def taught(folder: Path, raw: dict[str, Any]) -> School:
    """What `edgekd distill` trains."""
    path = folder / "texts.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    loaded = load_recipe(path)
    context = Context(loaded.recipe, loaded.raw, Store(folder / "store", QUIET.warn), QUIET)
    return train_models(context, prepare_data(context))


def test_old_texts_are_replayed_and_forgotten_less(recipe: dict[str, Any], tmp_path: Path) -> None:
    school = taught(tmp_path, recipe)
    assert [model.role for model in school.models] == ["teacher", "old_student", "student", "student_alone"]
    student, alone = school.forgetting()
    assert student["samples"] == alone["samples"] == 48 and student["before"] > 0.9
    assert student["after"] > alone["after"]

    (folder,) = (path.parent for path in (tmp_path / "store" / "replay").glob("*/entry.json"))
    joined, new = TextData.load(folder), school.data.open()
    assert school.old is not None and isinstance(new, TextData)
    old = school.old[0].open()
    assert isinstance(old, TextData) and len(joined.texts) == 240 + 60 and joined.classes == new.classes
    assert all(np.array_equal(joined.texts[row], new.texts[row]) for row in range(240))
    known = {old.texts[row].tobytes(): int(old.labels[row]) for row in old.indices("train")}
    for row in range(240, 300):
        assert known[joined.texts[row].tobytes()] == joined.labels[row] and joined.split[row] == 0
    assert np.bincount(joined.labels[240:]).tolist() == [20, 20, 20]
    assert len(joined.calibration) == len(new.calibration)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"old_data": "mnist5k"}, "old_data 'mnist5k' gives images, the recipe's data are texts"),
        ({"old_data": {"conll": {"path": "old.conll"}}}, "texts are replayed with one class each"),
    ],
)
def test_refusals(recipe: dict[str, Any], changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "old.conll").write_text("my O\n")
    recipe["distill"]["strategy"]["continual"].update(changes)
    with pytest.raises(RecipeError, match=message):
        taught(tmp_path, recipe)
