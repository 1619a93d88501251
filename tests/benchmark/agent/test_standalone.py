"""The agent alone: copied away from edgekd, on an old Python's syntax, one JSON document whatever happens."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekd.benchmark.link import AGENT

FILES = sorted(AGENT.rglob("*.py"))
ALLOWED = {*sys.stdlib_module_names, "numpy", *(path.stem for path in FILES), "runtimes"}


def call(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([sys.executable, "-s", str(folder), *arguments], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1, done
    return done.returncode, json.loads(done.stdout)


def job(tmp_path: Path, **fields: Any) -> str:
    base = {"task": "measure", "threads": 1, "batch_sizes": [1], "warmup": 1, "runs": 2, "min_time_s": 0}
    path = tmp_path / "job.json"
    path.write_text(json.dumps({**base, **fields}))
    return str(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_python_3_9_can_read_it_and_it_imports_little(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        assert {name.split(".")[0] for name in names} <= ALLOWED, names
        assert not isinstance(node, ast.Match)


def test_a_copy_measures_without_edgekd(onnx_artifact: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(AGENT, tmp_path / "agent")
    probe = "import sys, atexit, json; atexit.register(lambda: json.dump(sorted(sys.modules), open(r'%s', 'w')))"
    (copy / "sitecustomize_probe.py").write_text(probe % (tmp_path / "modules.json"))
    main = copy / "__main__.py"
    main.write_text(main.read_text().replace("import bundle\n", "import sitecustomize_probe\nimport bundle\n"))
    code, answer = call(copy, job(tmp_path, artifact=str(onnx_artifact)))
    assert code == 0 and answer["latency"][0]["p50_ms"] > 0
    loaded = {name.split(".")[0] for name in json.loads((tmp_path / "modules.json").read_text())}
    assert not loaded & {"edgekd", "torch", "pydantic", "openvino", "ai_edge_litert"}
    assert "onnxruntime" in loaded


def test_errors_are_one_json_document_too(tmp_path: Path, onnx_artifact: Path) -> None:
    code, answer = call(AGENT)
    assert code == 1 and answer["error"]["kind"] == "job" and "usage" in answer["error"]["message"]
    code, answer = call(AGENT, str(tmp_path / "absent.json"))
    assert code == 1 and "absent.json" in answer["error"]["message"]
    code, answer = call(AGENT, job(tmp_path, artifact=str(tmp_path / "nowhere")))
    assert code == 1 and answer["error"]["kind"] == "artifact"
    code, answer = call(AGENT, job(tmp_path, artifact=str(onnx_artifact), task="dance"))
    assert code == 1 and answer["error"]["message"] == "unknown task 'dance' (accepted: measure, predict)"


def test_a_library_that_prints_on_stdout_does_not_spoil_the_answer(onnx_artifact: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(AGENT, tmp_path / "agent")
    source = copy / "runtimes" / "onnxruntime.py"
    noisy = 'def _runtime() -> Any:\n    import os\n    os.write(1, b"noise from C\\n")\n    print("noise")\n'
    source.write_text(source.read_text().replace("def _runtime() -> Any:\n", noisy))
    code, answer = call(copy, job(tmp_path, artifact=str(onnx_artifact)))
    assert code == 0 and answer["threads"] == 1


def test_tensorrt_refuses_clearly_where_it_is_not_installed(onnx_artifact: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(onnx_artifact, tmp_path / "copy"))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "runtime": "tensorrt"}))
    code, answer = call(AGENT, job(tmp_path, artifact=str(folder)))
    assert code == 1
    assert answer["error"] == {
        "kind": "missing_runtime",
        "message": "tensorrt is not installed",
        "hint": "sudo apt-get install python3-libnvinfer  (part of JetPack on a Jetson)",
    }
