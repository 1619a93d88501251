"""`edgekd check` on what only the networks' layers can tell."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgekd.errors import RecipeError
from edgekd.recipe import load_recipe

from .conftest import RECIPE, Cli
from .test_text_recipe import TEXT

LOSSES = "losses: [ce: {weight: 0.1}, kl: {weight: 0.9, temperature: 4}]"


def told(folder: Path, text: str) -> str:
    """What is wrong with a recipe, its layers included."""
    path = folder / "my.yaml"
    path.write_text(text)
    try:
        load_recipe(path, layers=True)
    except RecipeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("hint: {student: layer9, teacher: layer2}", "hint.student: the student has no layer 'layer9'; did you mean"),
        ("hint: {student: layer2, teacher: layer9}", "hint.teacher: the teacher has no layer 'layer9'; did you mean"),
        ("attention: {pairs: {layer2: layer2, layer7: layer3}}", "attention.pairs.layer7: the student has no layer"),
        ("similarity: {pairs: {layer2: layer8}}", "similarity.pairs.layer2: the teacher has no layer 'layer8'"),
        ("rkd: {student: layer9, teacher: layer2}", "rkd.student: the student has no layer 'layer9'"),
        ("crd: {student: layer2, teacher: poool}", "crd.teacher: the teacher has no layer 'poool'"),
        ("hint: {pairs: {skip: {student: stage}}}", "hint: the student has no numbered layers 'stage'"),
        ("minilm: {}", "minilm: the loss 'minilm' compares attention layers, of which the student has none"),
        ("deit: {}", "deit.head: the student has no layer 'head'"),
        ("mgd: {pairs: uniform}", ""),
        ("hint: {student: layer1.0.conv1, teacher: layer3}", ""),
    ],
)
def test_layers_that_losses_name(tmp_path: Path, loss: str, expected: str) -> None:
    found = told(tmp_path, RECIPE.replace(LOSSES, f"losses:\n    - ce\n    - {loss}"))
    if not expected:
        assert found == ""
        return
    line = RECIPE[: RECIPE.index(LOSSES)].count("\n") + 3
    assert f"my.yaml:{line}: distill.losses[1].{expected}" in found
    if "has no layer" in expected:
        assert "(accepted: conv1, bn1, layer1, layer1.0," in found


def test_every_wrong_layer_with_every_other_mistake(tmp_path: Path) -> None:
    text = RECIPE.replace(LOSSES, "losses: [{hint: {student: a, teacher: b}}, rkd: {student: layer1, teacher: c}]")
    found = told(tmp_path, text.replace("reader: mnist5k", "reader: {image_folder: {path: nowhere}}"))
    assert "4 mistakes" in found and "no file or folder" in found
    for place in ("[0].hint.student", "[0].hint.teacher", "[1].rkd.teacher"):
        assert place in found


def test_a_strategys_own_teacher_is_an_earlier_student(tmp_path: Path) -> None:
    start, end = RECIPE.index("teacher:"), RECIPE.index("student:")
    losses = "losses: [ce, hint: {student: layer1, teacher: layer9}]\n  strategy: self_distillation"
    found = told(tmp_path, (RECIPE[:start] + RECIPE[end:]).replace(LOSSES, losses))
    assert "hint.teacher: the teacher has no layer 'layer9'" in found


def test_a_network_that_does_not_exist(tmp_path: Path) -> None:
    text = RECIPE.replace(LOSSES, "losses: [hint: {pairs: uniform}]")
    text = text.replace(
        "student:\n  model: {cifar_resnet: {depth: 8}}", "student:\n  model: {torchvision: {name: resnet81}}"
    )
    assert "student.model.torchvision: torchvision has no classifier 'resnet81'" in told(tmp_path, text)


def test_a_network_of_ones_own_that_needs_values_or_real_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first cannot be built without values, so it is built with them; of the second nothing is known or said."""
    (tmp_path / "own_networks.py").write_text(
        textwrap.dedent("""\
        import torch

        def valued(classes, channels):
            assert float(torch.ones(1)) == 1
            return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, classes))

        def picky(classes, channels):
            assert classes == 7
        """)
    )
    monkeypatch.chdir(tmp_path)
    text = RECIPE.replace(LOSSES, "losses: [hint: {student: layer9, teacher: layer2}]")
    old = "student:\n  model: {cifar_resnet: {depth: 8}}"
    found = told(tmp_path, text.replace(old, "student:\n  model: {function: {name: 'own_networks:valued'}}"))
    assert "the student has no layer 'layer9' (accepted: 0, 1)" in found
    assert told(tmp_path, text.replace(old, "student:\n  model: {function: {name: 'own_networks:picky'}}")) == ""


DYNAMIC = "compress: {method: int8_dynamic}\nexport: {formats: [onnx, openvino]}\n"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], "which do not divide those of the student's bert.encoder.layer.0.attention.self.query (16), "),
        ([("[onnx, openvino]", "[onnx]")], ""),
        ([("hidden: 16", "hidden: 64")], ""),
        ([("int8_dynamic}", "int8_dynamic, keep_float: ['bert.*', classifier]}")], ""),
        ([("[student_alone]", "[quantized_teacher]"), ("hidden: 16", "hidden: 64")], ""),
        (
            [("export: {formats: [onnx, openvino]}\n", "")],
            "'openvino' quantizes activations at run time in groups of 32",
        ),
        ([("formats: [onnx, openvino]", "precisions: [float32]")], ""),
    ],
)
def test_widths_that_openvino_cannot_quantize_at_run_time(
    changes: list[tuple[str, str]], expected: str, tickets: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    text = (TEXT + DYNAMIC).replace("TICKETS", str(tickets)).replace("TINY", str(tiny_bert))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    text = text.replace("[host]", "[x86-avx512-vnni]")
    found = told(tmp_path, text)
    assert expected in found and bool(expected) == ("compress.method" in found)
    assert ("and 3 more; give a width that is a multiple of 32" in found) == bool(expected)


def test_the_command_tells_it_and_torch_stays_out_otherwise(tmp_path: Path, edgekd: Cli) -> None:
    (tmp_path / "wrong.yaml").write_text(RECIPE.replace(LOSSES, "losses: [hint: {student: layer9, teacher: layer2}]"))
    done = edgekd("check", "wrong.yaml")
    assert done.returncode == 2 and done.stdout == ""
    assert "distill.losses[0].hint.student: the student has no layer 'layer9'" in done.stderr
    (tmp_path / "plain.yaml").write_text(RECIPE)
    code = (
        "import sys; from edgekd.recipe import load_recipe; from pathlib import Path;"
        "load_recipe(Path('plain.yaml'), layers=True); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


STUDENT = "student:\n  model: {cifar_resnet: {depth: 8}}"
TORCHVISION = "{torchvision: {name: resnet81}}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (STUDENT, f"student:\n  model: {TORCHVISION}", "student.model.torchvision: torchvision has no classifier"),
        (
            "teacher:\n  model: {cifar_resnet: {depth: 8}}",
            f"teacher:\n  model: {TORCHVISION}",
            "teacher.model.torchvision: torchvision has no classifier 'resnet81'; did you mean 'resnet18'",
        ),
        (
            "  baselines:",
            f"  strategy: {{teacher_assistant: {{assistants: [{TORCHVISION}]}}}}\n  baselines:",
            "distill.strategy.teacher_assistant.assistants[0].torchvision: torchvision has no classifier",
        ),
        (
            STUDENT,
            STUDENT + "\n  init: {subset: {blocks: {layr1: [0]}}}",
            "there is no sequence of blocks 'layr1'; did",
        ),
        (
            "compress: {",
            "compress: {keep_float: [layer1.*, layer9.*], ",
            "compress.keep_float[1]: keep_float names no layer of this network; did you mean 'layer",
        ),
        ("compress: {", "compress: {keep_float: ['layer1.0.add', 'conv2d_?'], ", ""),
    ],
)
def test_names_of_networks_blocks_and_layers(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in RECIPE
    found = told(tmp_path, RECIPE.replace(old, new, 1))
    assert expected in found if expected else found == ""
