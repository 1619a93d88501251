"""Linear layers on tokens as Gemms on rows: one kernel with the bias in it, and the same answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import fold
from edgekd.compress.rules import QuantizationRules
from edgekd.export.onnx_graph import bound_onnx
from edgekd.export.onnx_norms import part_norms
from edgekd.export.onnx_qdq import place
from edgekd.export.onnx_rows import in_rows
from edgekd.export.placed import Placed
from edgekd.progress import Progress


def placed(networks: Any, kind: str) -> Placed:
    return place(bound_onnx(networks.program(kind), networks.description(kind, "int8_static")), 8)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def answers(model: onnx.ModelProto, given: dict[str, np.ndarray]) -> np.ndarray:
    """As written: no graph optimization."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, given)[0])


def executed(model: onnx.ModelProto, path: Path) -> Counter[str]:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("kind", ["sequence", "token", "embedding"])
def test_every_biased_product_becomes_one_kernel_with_the_same_answer(kind: str, networks: Any, tmp_path: Path) -> None:
    before = placed(networks, kind)
    old = copied(before.model)
    after = in_rows(before)
    onnx.checker.check_model(after.model, full_check=True)
    for sizes in ([1], [5, 16, 12], [24, 20]):
        ids, mask = networks.padded(networks.texts(sizes, seed=3), None)
        given = {"input_ids": ids, "attention_mask": mask}
        expected, found = answers(old, given), answers(after.model, given)
        assert found.shape == expected.shape
        # A bias is rounded to a step of the INT32 sum, which may move an activation by one of its 255 steps.
        np.testing.assert_allclose(found, expected, atol=5e-3 * np.ptp(expected))
    for model in (old, after.model):
        part_norms(model)
    products, gemms = executed(old, tmp_path / "old.onnx"), executed(after.model, tmp_path / "new.onnx")
    assert products["MatMulIntegerToFloat"] == before.counts["MatMul"] >= networks.LINEAR
    assert gemms["MatMulIntegerToFloat"] == 0 and gemms["QGemm"] == after.counts["Gemm"]
    assert after.counts["Gemm"] == before.counts["MatMul"] + before.counts.get("Gemm", 0)
    assert "MatMul" not in after.counts
    assert sum(gemms.values()) < sum(products.values())


def test_float_operators_read_what_float_operators_make(networks: Any) -> None:
    graph = placed(networks, "sequence").model.graph
    makers = {tensor: node for node in graph.node for tensor in node.output}
    sums = [node for node in graph.node if node.op_type == "Add" and len({*node.input} & {*makers}) == 2]
    normed = [name for node in sums for name in node.input if makers[name].op_type == "LayerNormalization"]
    assert len(normed) >= 3, "the residual sums after the first read the normalised tokens as they are"
    assert not [name for node in sums for name in node.input if makers[name].op_type == "DequantizeLinear"]


def test_a_bias_that_32_bits_do_not_hold_stays_an_addition(networks: Any) -> None:
    before = placed(networks, "sequence")
    additions = {name for node in before.model.graph.node if node.op_type == "Add" for name in node.input}
    bias = next(item for item in before.model.graph.initializer if item.name in additions and "key" in item.name)
    bias.CopyFrom(numpy_helper.from_array(np.full(tuple(bias.dims), 1e9, np.float32), bias.name))
    count = before.counts["MatMul"]
    after = in_rows(before)
    assert after.counts["MatMul"] == 1 and after.counts["Gemm"] == count - 1 + before.counts.get("Gemm", 0)
    onnx.checker.check_model(after.model, full_check=True)
    assert [node for node in after.model.graph.node if node.op_type == "Add" and bias.name in node.input]


class FirstToAll(nn.Module):
    """What is added to every token is made of the first one alone: `(B, T, C) + (B, 1, C)`."""

    def __init__(self) -> None:
        super().__init__()
        self.every, self.first, self.norm, self.head = (
            nn.Linear(8, 8),
            nn.Linear(8, 8),
            nn.LayerNorm(8),
            nn.Linear(8, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.gelu(x.flatten(2).mT)  # (B, T, C)
        return self.head(self.norm(self.every(x) * torch.sigmoid(self.first(x[:, :1]))).mean(1))


def test_rows_of_different_tokens_are_not_mixed(write: Any) -> None:
    torch.manual_seed(0)
    program = fold(FirstToAll().eval(), (torch.randn(4, 8, 4, 4),))
    samples = torch.randn(16, 8, 4, 4)
    section = CompressSection.model_validate({"method": {"int8_static": {"ranges": "minmax"}}})
    batches = [(samples.numpy(),)]
    description = compress(program, lambda: iter(batches), section, QuantizationRules(), Progress(quiet=True))
    exported, folder = write("onnx", program, description)
    assert exported.notes["integer_kernels"]["Gemm"] == 3
    session = ort.InferenceSession(folder / exported.entry, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": samples.numpy()})
    expected = program(samples).numpy()
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
