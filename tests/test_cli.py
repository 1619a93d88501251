"""The command line: fast help, documented exit codes, no traceback for a user's mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd import errors

from .conftest import EDGEKD, RECIPE, Cli, call


@pytest.mark.parametrize("arguments", [["--help"], ["methods"], ["targets"], ["new"]])
def test_listing_imports_no_torch(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom edgekd.cli import app\n"
        "try:\n    app(standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'openvino', 'PIL'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)


def test_every_exit_code_is_documented_and_distinct() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EdgekdError)]
    codes = [kind.exit_code for kind in kinds]
    assert sorted(codes) == list(range(1, len(codes) + 1))
    text = subprocess.run([EDGEKD, "--help"], check=True, capture_output=True, text=True).stdout
    flat = " ".join(text.split())
    for code in (*codes, 130):
        assert f"{code} " in flat[flat.index("Exit codes") :]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["run", "absent.yaml"], 2, "cannot be read"),
        (["check"], 2, "which recipe?"),
        (["targets", "raspberry-pi-6"], 6, "did you mean 'raspberry-pi-5'?"),
        (["methods", "losss"], 2, "did you mean 'loss'?"),
        (["new", "digit", "x.yaml"], 2, "did you mean 'digits'?"),
        (["bench", "."], 7, "there is no artifact here"),
        (["report", "."], 7, "has no report"),
        (["run", "my.yaml", "--target", "jetson"], 6, "there is no target 'jetson'"),
        (["run", "my.yaml", "--speed"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_mistakes(edgekd: Cli, tmp_path: Path, arguments: list[str], code: int, expected: str) -> None:
    (tmp_path / "my.yaml").write_text(RECIPE)
    done = edgekd(*arguments)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr and "Traceback" not in done.stderr


def test_the_package_runs_as_a_module(edgekd: Cli, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgekd"]
    done = subprocess.run([*command, "targets"], check=True, capture_output=True, text=True)
    assert done.stdout == edgekd("targets").stdout
    wrong = subprocess.run(
        [*command, "check", "absent.yaml"], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr and "cannot be read" in wrong.stderr


def test_results_go_to_stdout_as_json(edgekd: Cli) -> None:
    assert "raspberry-pi-4" in json.loads(edgekd("targets", "--json").stdout)
    assert json.loads(edgekd("targets", "raspberry-pi-4", "--json").stdout)["architecture"] == "aarch64"
    assert set(json.loads(edgekd("methods", "loss", "--json").stdout)["loss"]) >= {"ce", "kl", "hint", "attention"}
    assert json.loads(edgekd("doctor", "--json").stdout)["core"]["torch"]
    assert "$schema" in json.loads(edgekd("check", "--schema").stdout)


def test_output_to_a_file_has_no_control_characters(edgekd: Cli, tmp_path: Path) -> None:
    for arguments in (["--help"], ["targets"], ["methods"], ["doctor"]):
        done = call(*arguments, cwd=tmp_path)
        assert "\x1b" not in done.stdout + done.stderr


def test_a_checkpoint_that_does_not_fit_lists_every_mismatch(edgekd: Cli, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"conv1.weight": torch.zeros(16, 3, 3, 3), "extra": torch.zeros(1)}, tmp_path / "w.safetensors")
    train = "  train: {epochs: 1, batch_size: 64, optimizer: {sgd: {lr: 0.1}}}\nstudent"
    recipe = RECIPE.replace(train, "  weights: w.safetensors\nstudent")
    assert recipe != RECIPE
    (tmp_path / "my.yaml").write_text(recipe)
    done = edgekd("distill", "my.yaml")
    assert done.returncode == 4, done.stderr
    for word in ("extra", "conv1.weight", "linear.bias", "w.safetensors"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pickle_that_runs_code_is_refused(edgekd: Cli, tmp_path: Path) -> None:
    import pickle

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "harmed"),))  # type: ignore[return-value]

    (tmp_path / "w.pt").write_bytes(pickle.dumps(Harmful()))
    train = "  train: {epochs: 1, batch_size: 64, optimizer: {sgd: {lr: 0.1}}}\nstudent"
    (tmp_path / "my.yaml").write_text(RECIPE.replace(train, "  weights: w.pt\nstudent"))
    done = edgekd("distill", "my.yaml")
    assert done.returncode == 4 and "Traceback" not in done.stderr
    assert not (tmp_path / "harmed").exists()
