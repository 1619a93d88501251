"""Additions before layer normalisations: not fused, and the same answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekd.export.onnx_norms import part_norms


def model() -> onnx.ModelProto:
    """x + y, normalised and scaled."""
    scale = numpy_helper.from_array(np.linspace(0.5, 2, 8, dtype=np.float32), "scale")
    shift = numpy_helper.from_array(np.linspace(-1, 1, 8, dtype=np.float32), "shift")
    nodes = [
        helper.make_node("Add", ["x", "y"], ["sum"]),
        helper.make_node("LayerNormalization", ["sum", "scale", "shift"], ["normed"], axis=-1),
        helper.make_node("Mul", ["normed", "scale"], ["out"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 4, 8]) for name in ("x", "y", "out")]
    graph = helper.make_graph(nodes, "norm", ends[:2], ends[2:], [scale, shift])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def executed(path: Path, inputs: dict[str, np.ndarray]) -> tuple[Counter[str], np.ndarray]:
    """Operators after ONNX Runtime's own optimizations, and the answer."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimized.onnx"))
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = onnx.load(options.optimized_model_filepath).graph.node
    return Counter(node.op_type for node in found), np.asarray(session.run(None, inputs)[0])


def test_an_addition_before_a_norm_is_not_fused_and_means_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(2, 4, 8)).astype(np.float32) for name in ("x", "y")}
    network = model()
    onnx.save(network, tmp_path / "fused.onnx")
    assert part_norms(network) == 1
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, tmp_path / "apart.onnx")
    fused, expected = executed(tmp_path / "fused.onnx", inputs)
    apart, got = executed(tmp_path / "apart.onnx", inputs)
    assert fused["SkipLayerNormalization"] == 1, "the runtime fuses it no more: this module has no purpose"
    assert apart["SkipLayerNormalization"] == 0 and apart["LayerNormalization"] == 1
    assert got == pytest.approx(expected, abs=1e-5)
