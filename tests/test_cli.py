"""The command line: fast help, documented exit codes, no traceback for a user's mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd import errors

from .conftest import EDGEKD, RECIPE, Cli, SmallRun, call


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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["run", "absent.yaml"], 2), (["tune", "my.yaml"], 2), (["bench", "."], 7), (["targets", "no"], 6),
     (["methods", "no"], 2), (["doctor", "--no"], 2), (["run"], 2)],
)  # fmt: skip
def test_json_is_printed_of_mistakes_too(edgekd: Cli, tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "my.yaml").write_text(RECIPE)
    done = edgekd(*arguments, "--json")
    found = json.loads(done.stdout)["error"]
    assert done.returncode == found["exit_code"] == code and found["message"].splitlines()[0] in done.stderr


def test_json_is_printed_of_a_defect_too() -> None:
    program = "import edgekd.catalogue as found\nfound.families = None\nfrom edgekd.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, "methods", "--json"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert json.loads(done.stdout)["error"]["kind"] == "TypeError"


def test_the_document_is_printed_where_a_gate_is_breached(small_run: SmallRun) -> None:
    strict = small_run.folder / "strict.yaml"
    changed = RECIPE.replace("gates: {", "gates: {latency_p50_ms: 0.000001, ")
    strict.write_text(changed.replace("raspberry-pi-5, jetson-orin-nano", ""))
    done = call("run", strict, "--json", cwd=small_run.folder)
    assert done.returncode == 11 and json.loads(done.stdout)["name"] == "small"


@pytest.mark.parametrize("arguments", [["targets"], ["--help"], ["run", "absent.yaml", "--json"]])
def test_output_that_cannot_be_written(arguments: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([EDGEKD, *arguments], check=False, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode in (2, 7) and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    assert (b"the disk is full" in done.stderr) is (done.returncode == 7)


MODELS = """
import torch
def broken(classes, channels):
    return {}[classes]
class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear = torch.nn.Linear(1, classes)
    def forward(self, x):
        return self.linear(x.mean((2, 3))).nothing
def late(classes, channels):
    return Net(classes)
"""


@pytest.mark.parametrize(
    ("function", "line"), [("broken", "models.py:4: return {}[classes]"), ("late", "models.py:10")]
)
def test_user_code_that_fails_is_named(edgekd: Cli, tmp_path: Path, function: str, line: str) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    own = f"student:\n  model: {{function: {{name: 'models:{function}'}}}}"
    recipe = RECIPE.replace("student:\n  model: {cifar_resnet: {depth: 8}}", own)
    (tmp_path / "my.yaml").write_text(recipe)
    done = edgekd("distill", "my.yaml", "--quiet")
    assert done.returncode == 4 and line in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("size", [0, 2_000_000])
def test_a_limit_on_what_may_be_written(tmp_path: Path, size: int) -> None:
    (tmp_path / "my.yaml").write_text(RECIPE)
    program = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\nfrom edgekd.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "my.yaml", "--quiet"],
        check=False, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 7 and "larger than is allowed" in done.stderr and "Traceback" not in done.stderr


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


@pytest.mark.parametrize("option", [("--batch", 5000), ("--threads", 99999)])
def test_options_beyond_what_is_measured(small_run: SmallRun, option: tuple[str, int]) -> None:
    done = call("bench", small_run.out / "raspberry-pi-5", *option, cwd=small_run.folder)
    assert done.returncode == 2 and f"received [{option[1]}]" in done.stderr and "Traceback" not in done.stderr
