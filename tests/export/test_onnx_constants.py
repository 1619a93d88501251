from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekd.errors import ExportError
from edgekd.export.onnx_constants import GraphWriter, shrink_tables

TABLE = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32) * np.logspace(-3, 1, 7)[:, None]
TABLE = TABLE.astype(np.float32)


def lookup() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["rows"], name="look")],
        "graph",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [None, None])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, None, 5])],
        [numpy_helper.from_array(TABLE, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_each_row_comes_back_within_half_of_its_own_step() -> None:
    model = lookup()
    shrink_tables(model, ["look"])
    onnx.checker.check_model(model, full_check=True)
    ids = np.array([[0, 6, 3], [1, 1, 2]])
    (rows,) = ReferenceEvaluator(model).run(None, {"ids": ids})
    step = np.abs(TABLE).max(1) / 127
    assert (np.abs(rows - TABLE[ids]) <= step[ids][..., None] / 2 * (1 + 1e-5)).all()
    stored = {item.name: item.data_type for item in model.graph.initializer if len(item.dims) == 2 and item.dims[1] > 1}
    assert list(stored.values()) == [TensorProto.INT8]


def test_a_computed_table_is_refused() -> None:
    with pytest.raises(ExportError, match="computed, not stored"):
        GraphWriter(lookup()).integers("rows", 0)
