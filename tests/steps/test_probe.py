"""Capture and float export of the untrained student: before the training, in another process, and once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekd.errors import ExportError
from edgekd.progress import Progress
from edgekd.recipe import load_recipe
from edgekd.steps.context import Context
from edgekd.steps.probe import check_export, probe, wanted
from edgekd.store import Store
from edgekd.target import Target

from ..test_failures import written

CLASSES = 10


def context(folder: Path, network: str, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.chdir(folder)
    loaded = load_recipe(written(folder, network))
    progress = Progress()
    return Context(loaded.recipe, loaded.raw, Store(folder / ".store", progress.warn), progress)


def targets(run: Context) -> list[Target]:
    return [*map(Target.load, run.recipe.targets)]


def test_one_format_that_fails_is_warned_about_and_known_in_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = context(tmp_path, "spectrum", monkeypatch)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    found = probe(run, CLASSES, targets(run))
    assert torch.equal(torch.rand(3), expected)
    assert list(found) == ["openvino"] and "Incompatible MatMul" in str(found["openvino"])
    assert "warning: the student cannot be exported to openvino; the run goes on" in capsys.readouterr().err
    assert wanted(run.recipe, targets(run)) == ["openvino", "onnx", "tflite", "tensorrt"]

    again = probe(run, CLASSES, targets(run))
    assert {name: str(error) for name, error in again.items()} == {name: str(error) for name, error in found.items()}
    told = capsys.readouterr().err
    assert "warning" in told and "trying to export" not in told


def test_every_format_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = context(tmp_path, "inverse_error", monkeypatch)
    with pytest.raises(ExportError, match="cannot be exported to openvino, onnx, tflite, tensorrt") as caught:
        check_export(run.recipe)
    assert "onnx: the network cannot be written as ONNX" in str(caught.value)
    assert "tflite: converting the network to TFLite failed" in str(caught.value)


def test_a_format_that_dies_is_found_among_the_others_and_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = context(tmp_path, "spectrum", monkeypatch)
    run = Context(run.recipe.model_copy(update={"targets": ["jetson-orin-nano"]}), run.raw, run.store, run.progress)
    (tmp_path / "onnxscript.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGABRT)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ExportError, match=r"tensorrt.*killed by SIGABRT"):
        probe(run, CLASSES, targets(run))
    assert not [*(tmp_path / ".store" / "probe").glob("*/entry.json")]
