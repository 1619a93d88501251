from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from edgekd.errors import ExportError
from edgekd.export.parity import compare
from edgekd.export.tensorrt_rules import conforms


def run(path: Path, samples: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options).run(["logits"], {"input": samples})[0]


def test_float_bundle(program, samples, reference, write) -> None:
    exported, folder = write("tensorrt", program, None)
    expected = ["README.md", "build_engine.py", "measure.json", "model.onnx", "predict.json"]
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert conforms(onnx.load(folder / exported.entry)) == []
    assert compare(reference, run(folder / exported.entry, samples))["relative_max_error"] < 1e-5


def test_int8_conforms_and_answers_as_the_reference_arithmetic(
    program, describe, samples, simulated, reference, write
) -> None:
    description = describe(program, activations="symmetric")
    exported, folder = write("tensorrt", program, description)
    assert conforms(onnx.load(folder / exported.entry)) == []
    assert exported.notes["integer_kernels"] == {"Add": 3, "Conv": 7, "Gemm": 1, "GlobalAveragePool": 1}
    assert exported.notes["float_kernels"] == {}
    found = run(folder / exported.entry, samples)
    # Convolution outputs stay in full precision inside TensorRT's fused kernels: closer than the simulation.
    assert compare(reference, found)["relative_max_error"] < 0.05
    assert compare(simulated(program, description, samples), found)["relative_max_error"] < 0.05


def test_placement(program, description, write) -> None:
    exported, folder = write("tensorrt", program, description)
    model = onnx.load(folder / exported.entry)
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        kinds = [makers[name].op_type if name in makers else "" for name in node.input]
        if node.op_type in {"Conv", "Gemm"}:
            assert kinds[:2] == ["DequantizeLinear", "DequantizeLinear"]
            assert constants[node.input[2]].data_type == TensorProto.FLOAT
        if node.op_type == "Add":
            assert sorted(kinds) == ["Conv", "DequantizeLinear"], "one branch is fused, the other is read in INT8"
        if node.op_type == "QuantizeLinear":
            assert makers.get(node.input[0]) is None or makers[node.input[0]].op_type != "Conv"
    scale = numpy_helper.to_array(constants["input_scale"])
    ours = description.activations[program.input]
    assert float(scale) == pytest.approx(max(-ours.low, ours.high) / 127, rel=1e-5)


def test_kept_layers_have_no_quantizers(program, describe, write) -> None:
    exported, folder = write("tensorrt", program, describe(program, keep=["layer2.0.conv1", "linear"]))
    assert exported.notes["float_kernels"] == {"Conv": 1, "Gemm": 1}
    model = onnx.load(folder / exported.entry)
    floats = [item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT and len(item.dims) >= 2]
    assert len(floats) == 2


def test_a_graph_that_breaks_the_rules_is_not_written(program, description, write, monkeypatch) -> None:
    monkeypatch.setattr("edgekd.export.onnx_float.OPSET", 18)
    model = write("tensorrt", program, None)[1] / "model.onnx"
    broken = onnx.load(model)
    broken.opset_import[0].version = 23
    monkeypatch.setattr("edgekd.export.onnx_float.float_onnx", lambda program: broken)
    with pytest.raises(ExportError, match=r"TensorRT's rules(.|\n)*opset 23"):
        write("tensorrt", program, None, "second")


def test_readme_and_builder_belong_together(program, description, write) -> None:
    _, folder = write("tensorrt", program, description)
    text = (folder / "README.md").read_text()
    assert "{" not in text
    assert "--optShapes=input:1x3x32x32" in text
    for line in re.findall(r"^ {4}python3 (build_engine\.py .*)$", text, re.MULTILINE):
        done = subprocess.run([sys.executable, *line.split()], cwd=folder, capture_output=True, text=True, check=False)
        assert "tensorrt is not installed" in done.stderr
        assert done.returncode == 1


def test_builder_imports_nothing_but_the_standard_library(program, write) -> None:
    _, folder = write("tensorrt", program, None)
    tree = ast.parse((folder / "build_engine.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


FAKE = '''
"""Records the calls of TensorRT's Python interface that the builder makes."""
import json, pathlib
__version__ = "{version}"
calls = []
class Logger:
    WARNING, VERBOSE = 1, 2
    def __init__(self, level): pass
class NetworkDefinitionCreationFlag: {flags}
class MemoryPoolType: WORKSPACE = 0
class Tensor: name, shape = "input", (-1, 3, 32, 32)
class Network:
    num_inputs = 1
    def get_input(self, index): return Tensor
class Profile:
    def set_shape(self, *arguments): calls.append(["shape", *arguments])
class Config:
    def set_memory_pool_limit(self, pool, size): calls.append(["workspace", size])
    def add_optimization_profile(self, profile): pass
class Builder:
    def __init__(self, logger): pass
    def create_network(self, flags): calls.append(["network", flags]); return Network()
    def create_builder_config(self): return Config()
    def create_optimization_profile(self): return Profile()
    def build_serialized_network(self, network, config):
        pathlib.Path(__file__).with_name("calls.json").write_text(json.dumps(calls))
        return b"plan"
class OnnxParser:
    num_errors = 1
    def __init__(self, network, logger): pass
    def parse_from_file(self, path): return {parses}
    def get_error(self, index): return "unsupported node"
'''


@pytest.mark.parametrize(("version", "flags", "network"), [("10.3.0", "STRONGLY_TYPED = 1", 2), ("11.0.0", "pass", 0)])
def test_builder_with_a_recorded_interface(version, flags, network, program, write, tmp_path) -> None:
    """TensorRT installs on no machine without its GPU: what can be checked here is what the builder asks of it."""
    _, folder = write("tensorrt", program, None)
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "tensorrt.py").write_text(FAKE.format(version=version, flags=flags, parses=True))
    command = [sys.executable, "build_engine.py", "--batch", "1", "4", "16"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(fake)}, check=True
    )
    report = json.loads(done.stdout)
    assert (folder / "model.engine").read_bytes() == b"plan"
    assert (report["tensorrt"], report["engine_bytes"]) == (version, 4)
    calls = json.loads((fake / "calls.json").read_text())
    assert ["network", network] in calls
    assert ["shape", "input", [1, 3, 32, 32], [4, 3, 32, 32], [16, 3, 32, 32]] in calls


def test_builder_says_why_it_failed(program, write, tmp_path) -> None:
    _, folder = write("tensorrt", program, None)
    fake = tmp_path / "fake"
    fake.mkdir()

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "build_engine.py", *arguments]
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(fake)}, check=False
        )

    (fake / "tensorrt.py").write_text(FAKE.format(version="10.3.0", flags="STRONGLY_TYPED = 1", parses=False))
    assert "unsupported node" in call().stderr
    assert "1 <= MIN" in call("--batch", "4", "1", "8").stderr
    (fake / "tensorrt.py").write_text(FAKE.format(version="8.6.1", flags="pass", parses=True))
    assert "too old" in call().stderr
    assert not (folder / "model.engine").exists()
