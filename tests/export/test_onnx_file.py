from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekd.errors import ExportError
from edgekd.export.onnx_file import load_onnx, save_onnx, sort_nodes


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
    assert len(load_onnx(tmp_path / "m.onnx").graph.node) == 2


def test_an_invalid_graph_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not valid"):
        save_onnx(chain(), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share: float, tmp_path: Path) -> None:
    model = chain()
    sort_nodes(model)
    weight = onnx.numpy_helper.from_array(np.ones((2, 500), np.float32), "w")
    model.graph.initializer.append(weight)
    content = model.SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ExportError, match=r"cut\.onnx"):
        load_onnx(path)


def test_no_file_and_no_onnx_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read"):
        load_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("This is not a model, whatever its name says.")
    with pytest.raises(ExportError, match=r"text\.onnx"):
        load_onnx(tmp_path / "text.onnx")
