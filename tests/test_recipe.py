"""Recipes: every mistake at once, each with line, path and the nearest valid name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekd.errors import RecipeError
from edgekd.listing import RECIPES, shipped_recipes
from edgekd.recipe import load_recipe, recipe_schema

from .conftest import RECIPE, Cli


def write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(folder, text))
    return str(caught.value).split("\n")


def test_every_mistake_at_once(tmp_path: Path) -> None:
    text = (
        RECIPE.replace("temperature: 4", "temprature: 4")
        .replace("int8_static", "int8_statik")
        .replace("raspberry-pi-5", "rasberry-pi-5")
        .replace("samples: 128", "samples: many")
        .replace("lr: 0.1", "lr: -1")
        .replace("name: small", "nam: small")
    )
    found = "\n".join(mistakes(tmp_path, text))
    for expected in (
        "my.yaml:13: distill.losses[1].kl.temprature: unknown key; did you mean 'temperature'?",
        "compress.method",
        "did you mean 'int8_static'?",
        "targets[1]",
        "did you mean 'raspberry-pi-5'?",
        "data.calibration.samples",
        "teacher.train.optimizer.sgd.lr",
        "nam: unknown key; did you mean 'name'?",
        "name: this key is required",
    ):
        assert expected in found, f"{expected!r} not in\n{found}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "teacher:\n  model: {cifar_resnet: {depth: 8}}\n"
            "  train: {epochs: 1, batch_size: 64, optimizer: {sgd: {lr: 0.1}}}\n",
            "",
            "needs a teacher",
        ),
        (
            "compress: {method: {int8_static: {ranges: minmax}}}",
            "export: {precisions: [int8]}",
            "int8 needs a compress section",
        ),
        (
            "compress: {method: {int8_static: {ranges: minmax}}}",
            "compress: {method: int8_dynamic}",
            "'tensorrt' cannot quantize activations at run time",
        ),
        (
            "targets: [host, raspberry-pi-5, jetson-orin-nano]",
            "targets: [raspberry-pi-5]\nexport: {formats: [tensorrt]}",
            "does not run it",
        ),
        (
            "targets: [host, raspberry-pi-5, jetson-orin-nano]",
            "targets: [host]\nexport: {formats: [onnxx]}",
            "did you mean 'onnx'?",
        ),
        ("targets: [host, raspberry-pi-5, jetson-orin-nano]", "targets: []", "targets"),
        ("name: small", "name: small\nname: twice", "given twice"),
        ("reader: mnist5k", "reader: {image_folder: {path: nowhere}}", "there is no file or folder"),
        ("reader: mnist5k", "reader: {image_folder: {path: '${EDGEKD_UNSET}/x'}}", "EDGEKD_UNSET is not set"),
        ("cifar_resnet: {depth: 8}", "cifar_resnet: {depth: 9}", "depth"),
        ("warmup: 3", "warmup: 3ms", "benchmark.warmup"),
        ("gates: {", "gates: {latency_p50_ms: fast, ", "milliseconds"),
        ("samples: 128", "samples: 128, seed: 3", "unknown key"),
        (
            "samples: 128",
            "samples: 128, reader: {image_folder: {path: nowhere}}",
            "calibration.reader.image_folder: there",
        ),
        ("benchmark: {", "benchmark: {sequence_lengths: [8], ", "images have no lengths"),
        ("targets: [host,", "export: {precisions: [float32, float32]}\ntargets: [host,", "a name is given twice"),
        (
            "channels: 1",
            "channels: 1\n  normalize: {mean: [200], std: [1]}",
            "data.normalize.mean: give means of pixels",
        ),
        ("channels: 1", "channels: 1\n  normalize: {mean: [0.5]}", "data.normalize.std: this key is required"),
        ("channels: 1", "channels: 1\n  normalize: {mean: [0.5], std: [half]}", "data.normalize.std[0]: "),
        ("temperature: 4", "temperature: {from: 4, to: hot}", "kl.temperature.to: "),
        ("baselines:", "teacher_outputs: {crops: none}\n  baselines:", "distill.teacher_outputs.crops: "),
    ],
)
def test_impossible_combinations(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in RECIPE
    found = "\n".join(mistakes(tmp_path, RECIPE.replace(old, new)))
    assert expected in found, found


@pytest.mark.parametrize(
    ("text", "expected"), [("a: [", "not valid YAML"), ("- 1", "a recipe is a mapping"), ("", "a recipe is a mapping")]
)
def test_no_recipe_at_all(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(mistakes(tmp_path, text))


def test_a_mistake_outside_of_the_search_is_told_once_and_without_the_section(tmp_path: Path) -> None:
    text = (RECIPES / "digits.yaml").read_text(encoding="utf-8")
    found = mistakes(tmp_path, text.replace("    - kl:", "    - hint: {student: layer2, teacher: layer2}\n    - kl:"))
    assert found[0] == "one mistake in the recipe"
    assert found[1].endswith("give 'recomputed'")


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    text = RECIPE.replace("reader: mnist5k", "reader: {image_folder: {path: images}}")
    recipe = load_recipe(write(tmp_path, text)).recipe
    assert recipe.data.reader.path == tmp_path / "images"  # type: ignore[attr-defined]


def test_schema_is_json_schema_and_knows_the_methods() -> None:
    schema = json.dumps(recipe_schema())
    for word in ("temperature", "cifar_resnet", "int8_static", "image_folder", "entropy", "latency_p50_ms"):
        assert word in schema


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_correct(name: str, edgekd: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = ("cifar10/cifar10-jpeg.zip", "cifar10/resnet56.safetensors", "banking77/train.csv", "banking77/test.csv")
    for file in files:
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text,category\nhello,greeting\n" if path.suffix == ".csv" else "")
    monkeypatch.setenv("EDGEKD_DATA", str(tmp_path / "data"))
    assert edgekd("new", name, "my.yaml").returncode == 0
    done = edgekd("check", "my.yaml")
    assert done.returncode == 0, done.stderr
    assert edgekd("new", name, "my.yaml").returncode == 7


def test_check_exits_with_2_and_no_traceback(edgekd: Cli, tmp_path: Path) -> None:
    write(tmp_path, RECIPE.replace("seed", "sed") + "nonsense: 1\n")
    done = edgekd("check", "my.yaml")
    assert done.returncode == 2
    assert "unknown key" in done.stderr and "Traceback" not in done.stderr
