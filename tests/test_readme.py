"""The README's commands run as they stand, and what it claims about the tree is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from edgekd.recipe import load_recipe

from .conftest import ROOT, call

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    block = re.search(r"<!-- executed by tests/test_readme.py -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return [shlex.split(line, comments=True) for line in block[1].splitlines() if line.strip()]


def test_commands(tmp_path: Path) -> None:
    assert {words[1] for words in commands()} >= {"new", "check", "run", "bench", "report"}
    for words in commands():
        assert words[0] == "edgekd"
        done = call(*words[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr}"
        if words[1] == "new":
            # One epoch instead of many, and gates to match: the commands are what is tested here.
            recipe = re.sub(r"epochs: \d+", "epochs: 1", (tmp_path / words[3]).read_text())
            recipe = re.sub(
                r"crops: \d+", "crops: 1", recipe.replace("augment: {crop_padding: 2}", "augment: {flip: true}")
            )
            recipe = re.sub(r"teacher_outputs: .*", "teacher_outputs: recomputed", recipe)
            recipe = re.sub(r"baselines: .*", "baselines: []", recipe)
            recipe = re.sub(
                r"gates:.*", "gates: {int8_agreement: 0.5, accuracy_drop_points: 50}", recipe, flags=re.DOTALL
            )
            (tmp_path / words[3]).write_text(recipe)
    assert (tmp_path / "runs" / "my" / "report.html").is_file()


def test_the_recipe_in_the_readme_is_correct(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block is not None
    (tmp_path / "recipe.yaml").write_text(block[1])
    (tmp_path / "screws.zip").write_bytes(b"")
    (tmp_path / "my_resnet18.safetensors").write_bytes(b"")
    assert load_recipe(tmp_path / "recipe.yaml").recipe.name == yaml.safe_load(block[1])["name"]


def test_the_tree_in_the_readme_exists() -> None:
    tree = README[README.index("## The tree") : README.index("## Add your own")]
    folder = ROOT
    for line in tree.splitlines():
        words = re.split(r"\s{3,}", line.strip())[0].split() if line.startswith("    ") else []
        depth = len(line) - len(line.lstrip())
        for word in words:
            if depth == 4:
                folder = ROOT / word
                assert folder.exists(), word
                continue
            base = ROOT / "edgekd" / words[0] if "/" in words[0] and word != words[0] else ROOT / "edgekd"
            assert (base / word).exists() or (ROOT / "edgekd" / word).exists(), word


def test_the_dependency_table_names_what_the_card_promises() -> None:
    for name in (
        "torch",
        "torchvision",
        "onnx",
        "onnxruntime",
        "tensorrt",
        "openvino",
        "optimum",
        "auto-gptq",
        "autoawq",
    ):
        assert re.search(rf"^\|.*\b{name}\b", README, re.MULTILINE), name
    assert "tflite-runtime" in README
