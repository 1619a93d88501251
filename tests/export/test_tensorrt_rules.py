"""Every rule with a graph that breaks only it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekd.export.tensorrt_rules import conforms


def model() -> onnx.ModelProto:
    """input -> Q -> DQ -> Conv(INT8 weight behind DQ, float bias) -> output; conforms."""
    constants = {
        "s": np.array(0.1, np.float32),
        "z": np.array(0, np.int8),
        "w": np.ones((4, 3, 1, 1), np.int8),
        "ws": np.full(4, 0.1, np.float32),
        "wz": np.zeros(4, np.int8),
        "b": np.zeros(4, np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"], "restore"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["dw"], "weight", axis=0),
        helper.make_node("Conv", ["dq", "dw", "b"], ["output"], "conv"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 4, 8, 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def put(target: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    item = next(item for item in target.graph.initializer if item.name == name)
    item.CopyFrom(numpy_helper.from_array(values, name))


def node(target: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(item for item in target.graph.node if item.name == name)


def test_a_good_graph_conforms() -> None:
    onnx.checker.check_model(model(), full_check=True)
    assert conforms(model()) == []


def opset(m: onnx.ModelProto) -> None:
    m.opset_import[0].version = 21


def contrib(m: onnx.ModelProto) -> None:
    m.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    node(m, "conv").domain = "com.microsoft"


def integer_operator(m: onnx.ModelProto) -> None:
    node(m, "conv").op_type = "QLinearConv"


def free_height(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[2].Clear()


def unsigned(m: onnx.ModelProto) -> None:
    put(m, "z", np.array(0, np.uint8))


def asymmetric(m: onnx.ModelProto) -> None:
    put(m, "z", np.array(-5, np.int8))


def no_zero_point(m: onnx.ModelProto) -> None:
    del node(m, "quantize").input[2]


def computed_zero_point(m: onnx.ModelProto) -> None:
    node(m, "quantize").input[2] = "elsewhere"


def computed_scale(m: onnx.ModelProto) -> None:
    node(m, "quantize").input[1] = "elsewhere"


def negative_scale(m: onnx.ModelProto) -> None:
    put(m, "ws", np.array([0.1, -0.1, 0.1, 0.1], np.float32))


def half_scale(m: onnx.ModelProto) -> None:
    put(m, "ws", np.full(4, 0.1, np.float16))


def activation_per_channel(m: onnx.ModelProto) -> None:
    put(m, "s", np.full(3, 0.1, np.float32))
    put(m, "z", np.zeros(3, np.int8))


def zero_points_too_few(m: onnx.ModelProto) -> None:
    put(m, "wz", np.zeros(1, np.int8))


def wrong_axis(m: onnx.ModelProto) -> None:
    node(m, "weight").attribute[0].i = 1


def default_axis(m: onnx.ModelProto) -> None:
    del node(m, "weight").attribute[:]


def scales_too_few(m: onnx.ModelProto) -> None:
    put(m, "ws", np.full(3, 0.1, np.float32))
    put(m, "wz", np.zeros(3, np.int8))


def float_reader(m: onnx.ModelProto) -> None:
    m.graph.node.append(helper.make_node("Cast", ["q"], ["c"], "cast", to=TensorProto.FLOAT))


def lone_dequantizer(m: onnx.ModelProto) -> None:
    node(m, "restore").input[0] = "input"


def quantized_constant(m: onnx.ModelProto) -> None:
    node(m, "quantize").input[0] = "b"


def integer_bias(m: onnx.ModelProto) -> None:
    m.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.int32), "bi"))
    m.graph.node.insert(0, helper.make_node("DequantizeLinear", ["bi", "ws"], ["bf"], "bias", axis=0))
    node(m, "conv").input[2] = "bf"


def int16_weight(m: onnx.ModelProto) -> None:
    put(m, "w", np.ones((4, 3, 1, 1), np.int16))


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (opset, "opset 21"),
        (contrib, "domain com.microsoft"),
        (integer_operator, "not integer operators"),
        (free_height, r"tensor input: axes \[2\] are free"),
        (unsigned, "tensor z: UINT8"),
        (asymmetric, "zero point is -5"),
        (no_zero_point, "means UINT8"),
        (computed_zero_point, "zero point is computed"),
        (computed_scale, "scale is computed"),
        (negative_scale, "must all be positive"),
        (half_scale, "not float32"),
        (activation_per_channel, "an activation needs one scale"),
        (zero_points_too_few, "4 scales and 1 zero points"),
        (wrong_axis, "along axis 1; the output channels of Conv conv are axis 0"),
        (default_axis, "along axis 1"),
        (scales_too_few, "3 scales for axis 0"),
        (float_reader, "read by DequantizeLinear only"),
        (lone_dequantizer, "must read a QuantizeLinear"),
        (quantized_constant, "quantizes a stored tensor"),
        (integer_bias, "INT32 bias"),
        (integer_bias, "bias must be a stored float32"),
        (int16_weight, "INT16 tensor; weights must be INT8"),
    ],
)
def test_each_rule(break_it: Callable[[onnx.ModelProto], None], reason: str) -> None:
    import re

    broken = model()
    break_it(broken)
    reasons = conforms(broken)
    assert any(re.search(reason, found) for found in reasons), reasons


def test_the_reasons_name_the_node() -> None:
    broken = model()
    asymmetric(broken)
    assert all(found.startswith(("QuantizeLinear quantize", "DequantizeLinear restore")) for found in conforms(broken))
