"""The user's own networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from edgekd.errors import ModelError
from edgekd.models import MODELS, ModelSection, load, model_key

CODE = """
import torch
from torch import nn

def small(classes, channels, width=4):
    stem = nn.Conv2d(channels, width, 3)
    return nn.Sequential(stem, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

def rigid(classes):
    return nn.Identity()

def number(classes, channels):
    return classes

constant = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fn_models.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "fn_models", raising=False)
    return tmp_path


def section(name: str, **options: object) -> ModelSection:
    return ModelSection.model_validate({"model": {"function": {"name": name, "options": options}}})


def test_is_found_in_the_current_folder_and_gets_its_options() -> None:
    model = load(section("fn_models:small", width=6), 5, 1, 0)
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 5) and model[0].out_channels == 6
    again = load(section("fn_models:small", width=6), 5, 1, 0)
    assert torch.equal(model[0].weight, again[0].weight)


def test_the_key_follows_the_source_and_the_options(folder: Path) -> None:
    before = model_key(section("fn_models:small"))
    assert model_key(section("fn_models:small", width=5)) != before
    (folder / "fn_models.py").write_text(CODE.replace("width=4", "width=8"))
    assert model_key(section("fn_models:small")) != before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fn_absent:small", {}, "no module 'fn_absent'"),
        ("fn_models:smal", {}, "no function 'smal'; did you mean 'small'"),
        ("fn_models:constant", {}, "no function 'constant'"),
        ("fn_models:rigid", {}, "cannot be called"),
        ("fn_models:small", {"depth": 3}, r"(?s)cannot be called.*depth"),
        ("fn_models:number", {}, "does not return a network"),
    ],
)
def test_refusals(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(section(name, **options), 5, 1, 0)


def test_an_import_that_fails(folder: Path) -> None:
    (folder / "fn_broken.py").write_text("import a_package_that_is_not_there\ndef small(classes, channels): ...")
    with pytest.raises(ModelError, match="a_package_that_is_not_there"):
        load(section("fn_broken:small"), 5, 1, 0)


def test_a_name_that_is_taken_by_another_module(folder: Path) -> None:
    (folder / "pathlib.py").write_text("def small(classes, channels): ...")
    with pytest.raises(ModelError, match="loaded already"):
        load(section("pathlib:small"), 5, 1, 0)


@pytest.mark.parametrize("name", ["fn_models", "fn_models.small", "fn-models:small", "../fn_models:small", ":small"])
def test_the_form_of_the_name(name: str) -> None:
    with pytest.raises(ValidationError):
        section(name)


def test_has_no_published_weights() -> None:
    with pytest.raises(ModelError, match="no published weights"):
        MODELS.parse({"function": {"name": "fn_models:small"}}).pretrained(5, 1)
