"""Paths: where they lead, what they refuse, and every value checked before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekd.errors import RecipeError
from edgekd.recipe import LoadedRecipe, load_recipe, validated
from edgekd.tune.section import Searched
from edgekd.tune.space import PathError, applied, assignments, get, put, tried, whole_keys

from .conftest import RECIPE, write

LOSSES: dict[str, Any] = {"losses": ["ce", {"kl": {"weight": 2}}, {"kl": None}], "train": {"optimizer": "sgd"}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("losses.kl.weight", {**LOSSES, "losses": ["ce", {"kl": {"weight": 7}}, {"kl": None}]}),
        ("losses.1.kl.weight", {**LOSSES, "losses": ["ce", {"kl": {"weight": 7}}, {"kl": None}]}),
        ("losses.kl_2.weight", {**LOSSES, "losses": ["ce", {"kl": {"weight": 2}}, {"kl": {"weight": 7}}]}),
        ("losses.ce.weight", {**LOSSES, "losses": [{"ce": {"weight": 7}}, *LOSSES["losses"][1:]]}),
        ("losses.0", {**LOSSES, "losses": [7, *LOSSES["losses"][1:]]}),
        ("train.optimizer.sgd.lr", {**LOSSES, "train": {"optimizer": {"sgd": {"lr": 7}}}}),
        ("train.optimizer", {**LOSSES, "train": {"optimizer": 7}}),
        ("train.clip.norm", {**LOSSES, "train": {"optimizer": "sgd", "clip": {"norm": 7}}}),
    ],
)
def test_put(path: str, expected: dict[str, Any]) -> None:
    before = yaml.safe_dump(LOSSES)
    assert put(LOSSES, path, 7) == expected
    assert yaml.safe_dump(LOSSES) == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("losses.kll.weight", "did you mean 'kl'"),
        ("losses.3.kl", "accepted: ce, kl, kl_2"),
        ("train.optimizer.adamw.lr", "says 'sgd' here"),
        ("losses.1.kl.weight.x", "value 2 before 'x'"),
    ],
)
def test_put_refuses(path: str, said: str) -> None:
    with pytest.raises(PathError, match=said):
        put(LOSSES, path, 7)


def test_get_is_the_inverse_on_a_validated_recipe(loaded: LoadedRecipe) -> None:
    for path, value in {"distill.losses.kl.temperature": 3.5, "student.model.cifar_resnet.depth": 14}.items():
        recipe, problems = validated(applied(loaded.expanded, {path: value}), loaded.path.parent)
        assert recipe is not None and not problems
        assert get(recipe.model_dump(mode="json"), path) == value
    with pytest.raises(PathError):
        get(loaded.recipe.model_dump(mode="json"), "student.model.timm")


def test_values_that_stand_for_all() -> None:
    assert tried(Searched(low=3, high=6)) == [3, 4, 5, 6]
    assert tried(Searched(low=0.5, high=6)) == [0.5, 6]
    assert tried(Searched(low=1, high=1000)) == [1, 1000]
    assert tried(Searched(choices=[[0, 2], None])) == [[0, 2], None]
    assert assignments("a", Searched(low=0, high=1, complement="b"), 0.1) == {"a": 0.1, "b": 0.9}


def test_whole_numbers_are_told_by_the_recipe_not_by_how_the_range_is_written(loaded: LoadedRecipe) -> None:
    space = {"distill.losses.kl.temperature": {"low": 1, "high": 9}, "distill.train.epochs": {"low": 1, "high": 3}}
    again = load_recipe(write(loaded.path.parent, space=space))
    assert again.recipe.search is not None
    found = whole_keys(again.recipe.search, again.expanded, lambda raw: validated(raw, again.path.parent)[0])
    assert found == {"distill.train.epochs"}


def test_every_mistake_at_once(tmp_path: Path) -> None:
    space = {
        "distill.losses.kl.temprature": {"low": 1, "high": 2},
        "distill.losses.kll.weight": {"low": 1, "high": 2},
        "distill.losses.kl.temperature": {"low": 0, "high": 10},
        "distill.train.batch_size": {"choices": [64, 1]},
        "student.model.cifar_resnet.depth": {"low": 8, "high": 14},
        "distill.train.optimizer.adamw.lr": {"low": 0.1, "high": 0.2, "complement": "distill.losses.ce.weight"},
        "distill.losses.ce.weight": {"low": 0.1, "high": 0.2},
        "studnt.model": {"choices": ["x"]},
        "teacher.train.epochs": {"low": 1, "high": 2},
    }
    path = write(tmp_path, space=space)
    path.write_text(path.read_text().replace("name: searched", "nam: searched"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    lines = str(caught.value).split("\n")
    for expected in (
        "nam: unknown key; did you mean 'name'?",
        "temprature: with 1: distill.losses[1].kl.temprature: unknown key; did you mean 'temperature'?",
        "kll.weight: there is no 'kll' in this list; did you mean 'kl'?",
        "kl.temperature: with 0: distill.losses[1].kl.temperature: Input should be greater than 0",
        "batch_size: with 1: distill.train.batch_size: Input should be greater than or equal to 2",
        "received 9 (5 of 7 values tried fail)",
        "adamw.lr: 'distill.losses.ce.weight' is already set by another searched key",
        "'studnt' is not searched; did you mean 'student'?",
        "'teacher' is not searched",
    ):
        assert any(expected in line for line in lines), (expected, lines)
    assert lines[0] == "11 mistakes in the recipe"  # `name` is missing too


def test_values_that_are_valid_alone_and_not_together(tmp_path: Path) -> None:
    lr = {"low": 0.1, "high": 0.2}
    path = write(tmp_path, space={"distill.train.optimizer.sgd.lr": lr, "distill.train.optimizer.adamw.lr": lr})
    with pytest.raises(RecipeError, match="give one name"):
        load_recipe(path)


def test_a_search_needs_something_to_train(tmp_path: Path) -> None:
    raw = yaml.safe_load(RECIPE)
    del raw["distill"]
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(RecipeError, match="nothing to search without a distill section"):
        load_recipe(path)
