from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekd.export.kernels import onnxruntime_kernels
from edgekd.export.onnx_qdq import free_outputs, hold_float


def between_quantizers(*after: str) -> onnx.ModelProto:
    """input -> Q -> DQ -> Conv with float weights -> `after`... -> Q -> DQ -> output."""
    constants = {
        "s": np.array(0.02, np.float32),
        "z": np.array(0, np.uint8),
        "w": np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32),
        "b": np.zeros(4, np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"]),
        helper.make_node("Conv", ["dq", "w", "b"], ["t0"], "conv"),
    ]
    for index, kind in enumerate(after):
        limits = ["low", "high"] if kind == "Clip" else []
        nodes.append(helper.make_node(kind, [f"t{index}", *limits], [f"t{index + 1}"], kind))
    nodes += [
        helper.make_node("QuantizeLinear", [f"t{len(after)}", "s", "z"], ["q2"]),
        helper.make_node("DequantizeLinear", ["q2", "s", "z"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("after", [(), ("Relu",), ("Clip",)])
def test_a_kept_layer_is_held_in_float(after, tmp_path) -> None:
    path = tmp_path / "m.onnx"
    plain = between_quantizers(*after)
    onnx.save(plain, path)
    x = np.random.default_rng(1).uniform(0, 4, (1, 3, 8, 8)).astype(np.float32)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    expected = ort.InferenceSession(str(path), options).run(None, {"input": x})[0]
    # What makes this needed: left alone, ONNX Runtime quantizes the layer by itself.
    assert onnxruntime_kernels(path).integer == {"Conv": 1}
    hold_float(plain, {"conv"})
    onnx.checker.check_model(plain, full_check=True)
    onnx.save(plain, path)
    kernels = onnxruntime_kernels(path)
    assert (kernels.integer, kernels.floating) == ({}, {"Conv": 1})
    np.testing.assert_array_equal(ort.InferenceSession(str(path)).run(None, {"input": x})[0], expected)


def test_other_layers_are_left_alone() -> None:
    model = between_quantizers("Relu")
    before = model.SerializeToString(deterministic=True)
    hold_float(model, {"another"})
    assert model.SerializeToString(deterministic=True) == before


def test_logits_are_not_rounded_but_feature_maps_are() -> None:
    model = between_quantizers()
    free_outputs(model)
    assert [node.op_type for node in model.graph.node][-1] == "DequantizeLinear"
    conv = next(node for node in model.graph.node if node.name == "conv")
    conv.op_type = "MatMul"
    del conv.input[2:]
    free_outputs(model)
    assert [node.op_type for node in model.graph.node] == ["QuantizeLinear", "DequantizeLinear", "MatMul"]
    assert model.graph.node[-1].output[0] == "output"
    assert {item.name for item in model.graph.initializer} == {"s", "z", "w"}
