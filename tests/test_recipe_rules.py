"""Teachers, baselines and strategies that do not go together, each reported where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.errors import RecipeError
from edgekd.recipe import load_recipe
from edgekd.target import Target

from .conftest import RECIPE, ROOT

TEACHER = RECIPE[RECIPE.index("teacher:") : RECIPE.index("student:")]
MEMBER = "{model: {cifar_resnet: {depth: 8}}, train: {epochs: 1}}"
TWO = f"teachers:\n  - {MEMBER}\n  - {MEMBER}\n"
LOSSES = "losses: [ce: {weight: 0.1}, kl: {weight: 0.9, temperature: 4}]"


def mistakes(folder: Path, *changes: tuple[str, str]) -> str:
    text = RECIPE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "my.yaml"
    path.write_text(text)
    try:
        load_recipe(path)
    except RecipeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "changes",
    [
        ((TEACHER, TWO),),
        ((TEACHER, TWO), (LOSSES, LOSSES + "\n  ensemble: confidence")),
        ((TEACHER, TWO), (LOSSES, LOSSES + "\n  strategy: {born_again: {generations: 2}}")),
        ((TEACHER, ""), (LOSSES, LOSSES + "\n  strategy: self_distillation")),
        ((LOSSES, LOSSES + "\n  strategy: {teacher_assistant: {assistants: [{cifar_resnet: {depth: 14}}]}}"),),
        (("weight: 0.9", "weight: {from: 0.9, to: 0.1, shape: cosine}"),),
    ],
)
def test_what_goes_together(tmp_path: Path, changes: tuple[tuple[str, str], ...]) -> None:
    assert mistakes(tmp_path, *changes) == ""


TARGETS = "targets: [host, raspberry-pi-5, jetson-orin-nano]"
HOST = Target.host().name


def test_budgets_of_targets(tmp_path: Path) -> None:
    both = "gates: {latency_p50_ms: {host: 3, raspberry-pi-5: 4}, peak_rss_bytes: {jetson-orin-nano: 1000}, "
    assert mistakes(tmp_path, ("gates: {", both)) == ""
    found = mistakes(tmp_path, ("gates: {", "gates: {latency_p50_ms: {rasberry-pi-5: 3}, peak_rss_bytes: {raspi: 1}, "))
    assert "gates.latency_p50_ms.rasberry-pi-5: 'rasberry-pi-5' is not among the targets; did you mean 'rasp" in found
    assert f"(accepted: {HOST}, raspberry-pi-5, jetson-orin-nano, host)" in found
    assert "gates.peak_rss_bytes.raspi: 'raspi' is not among the targets" in found
    here = ("gates: {", f"gates: {{latency_p50_ms: {{host: 3, {HOST}: 4}}, ")
    assert f"gates.latency_p50_ms.host: 'host' is {HOST} here: give one budget" in mistakes(tmp_path, here)
    found = mistakes(
        tmp_path, ("gates: {", "gates: {latency_p50_ms: {host: 3}, "), (TARGETS, "targets: [jetson-orin-nano]")
    )
    assert "gates.latency_p50_ms.host: 'host' is not among the targets (accepted: jetson-orin-nano)" in found


def test_a_target_without_a_file(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    text = (ROOT / "targets" / "raspberry-pi-4.yaml").read_text()
    path.write_text(text.replace("[int8, float32]", "[int8]").replace("precisions: [float32]", "precisions: [int8]"))
    found = mistakes(tmp_path, (TARGETS, "targets: [board.yaml]\nexport: {precisions: [float32]}"))
    assert "targets[0]: board runs none of" in found and "in float32" in found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (((TEACHER, TEACHER + TWO),), "teachers: give one network as 'teacher', or two and more as 'teachers'"),
        (((TEACHER, f"teachers: [{MEMBER}]\n"),), "teachers: give one network"),
        (((TEACHER, TWO.replace(", train: {epochs: 1}", "")),), "teachers[1]: an untrained teacher"),
        (((TEACHER, TWO.replace("train:", "weights: no.pt, train:")),), "teachers[0].weights: there is no file"),
        (((TEACHER, TWO.replace("train:", "weight: 0, train:")),), "teachers[0].weight"),
        (((LOSSES, LOSSES + "\n  ensemble: confidence"),), "distill.ensemble: there is one teacher at most"),
        (
            ((TEACHER, TWO.replace("train:", "weight: 2, train:")), (LOSSES, LOSSES + "\n  ensemble: confidence")),
            "leave",
        ),
        (((TEACHER, TWO), (LOSSES, LOSSES + "\n  teacher_outputs: recomputed")), "{crops: 1}"),
        (((TEACHER, TWO), (LOSSES, "losses: [hint: {student: layer1, teacher: layer1}]")), "the recipe has several"),
        (((TEACHER, TWO), ("[student_alone]", "[quantized_teacher]")), "quantizes the one network"),
        (((TEACHER, ""),), "distill.losses[1]: 'kl' needs a teacher section"),
        (((TEACHER, ""), (LOSSES, "losses: [ce]")), "baselines compare with a teacher"),
        (((LOSSES, LOSSES + "\n  strategy: self_distillation"),), "distill.strategy.self_distillation: the student is"),
        (
            ((TEACHER, ""), (LOSSES, LOSSES + "\n  strategy: {born_again: {}}")),
            "distill.strategy.born_again: the first",
        ),
        (((LOSSES, LOSSES + "\n  strategy: born_agian"),), "did you mean 'born_again'?"),
        (((LOSSES, LOSSES + "\n  strategy: {born_again: {generation: 2}}"),), "did you mean 'generations'?"),
        (((LOSSES, LOSSES + "\n  strategy: continual"),), "distill.strategy.continual.old_data: this key is required"),
        (((LOSSES, LOSSES + "\n  strategy: {continual: {old_data: mnist5k}}"),), "nothing is new"),
        ((("weight: 0.9", "weight: {from: 0.9, too: 0.1}"),), "distill.losses[1].kl.weight.to: this key is required"),
        ((("temperature: 4", "temperature: {from: 4, to: 0}"),), "both ends of the ramp must be greater than 0"),
    ],
)
def test_what_does_not(tmp_path: Path, changes: tuple[tuple[str, str], ...], expected: str) -> None:
    assert expected in mistakes(tmp_path, *changes)


def test_what_would_fail_hours_later(tmp_path: Path) -> None:
    training = "train: {epochs: 1, batch_size: 64, "
    found = mistakes(tmp_path, (training, training + "augment: {crop_padding: 100000}, "))
    assert "teacher.train.augment.crop_padding: crops would be all padding: the images are 28 x 28" in found
    assert "distill.train.augment.crop_padding: crops would be all padding" in found
    found = mistakes(tmp_path, (training, training + "threads: 100000, "))
    assert "distill.train.threads: Input should be less than or equal to 1024" in found
    for number in (".inf", ".nan"):
        found = mistakes(
            tmp_path, ("int8_agreement: 0.9", f"int8_agreement: {number}"), ("weight: 0.1", f"weight: {number}")
        )
        assert "gates.int8_agreement: give a finite number" in found
        assert "distill.losses[0].ce.weight: give a finite number" in found


@pytest.mark.parametrize("limit", ["'inf'", "'nan'", "'1e999'"])
def test_texts_that_stand_for_infinite_numbers(tmp_path: Path, limit: str) -> None:
    found = mistakes(tmp_path, ("gates: {", f"gates: {{latency_p50_ms: {limit}, "))
    assert "gates.latency_p50_ms" in found and "finite" in found
