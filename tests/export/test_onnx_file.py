from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgekd.errors import ExportError
from edgekd.export.onnx_file import save_onnx, sort_nodes


def chain() -> onnx.ModelProto:
    """x -> Relu -> a -> Neg -> y, with the nodes in the wrong order."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    nodes = [helper.make_node("Neg", ["a"], ["y"], name="second"), helper.make_node("Relu", ["x"], ["a"], name="first")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_sorts_nodes() -> None:
    model = chain()
    sort_nodes(model)
    assert [node.name for node in model.graph.node] == ["first", "second"]


def test_a_cycle_is_refused() -> None:
    model = chain()
    model.graph.node[1].input[0] = "y"
    with pytest.raises(ExportError, match=r"cycle(.|\n)*second, first"):
        sort_nodes(model)


def test_saving_strips_what_the_host_left(tmp_path: Path) -> None:
    model = chain()
    sort_nodes(model)
    model.doc_string = "/home/me"
    model.graph.node[0].metadata_props.add(key="stack", value="/home/me/model.py")
    model.graph.input[0].doc_string = "/home/me"
    save_onnx(model, tmp_path / "m.onnx")
    assert b"/home/me" not in (tmp_path / "m.onnx").read_bytes()
    assert len(onnx.load(tmp_path / "m.onnx").graph.node) == 2


def test_an_invalid_graph_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not valid"):
        save_onnx(chain(), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
