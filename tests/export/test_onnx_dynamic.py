"""A layer whose inputs are quantized at run time, in ONNX Runtime, against the formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekd.compress import CompressSection, affine, compress
from edgekd.compress.fold import fold
from edgekd.compress.rules import QuantizationRules
from edgekd.export import FORMATS, export
from edgekd.progress import QUIET

from ..simulation import fake_quantize

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture(scope="module")
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(8, 6)


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "as written"])
def answer(layer: nn.Linear, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    import onnxruntime

    example = torch.randn(4, 8, 1, 1, generator=torch.Generator().manual_seed(1))
    program = fold(nn.Sequential(nn.Flatten(), layer), (example,))
    section = CompressSection.model_validate({"method": "int8_dynamic"})
    described = compress(program, lambda: iter([]), section, QuantizationRules(), QUIET)
    folder = tmp_path_factory.mktemp("layer")
    written = export(program, described, FORMATS.parse("onnx"), folder, QuantizationRules())
    assert written.notes["integer_kernels"] == {"MatMul": 1} and "one scale per token" in written.notes["activations"]
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if request.param else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"input": x[:, :, None, None]})[0]


def test_every_row_has_a_scale_of_its_own(layer: nn.Linear, answer: Answer) -> None:
    """Rows from 1e-4 to 1e4, negative ones, and the error of a product on rounded rows."""
    x = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    x *= np.logspace(-4, 4, 9, dtype=np.float32)[:, None]
    x[1] = -np.abs(x[1])
    scale = np.abs(x).max(axis=1, keepdims=True) / 127
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = np.rint(x / scale) * scale @ fake_quantize(weight, affine.weight(weight)).T + bias
    np.testing.assert_allclose(answer(x), expected, rtol=1e-5, atol=1e-6)


def test_a_row_of_zeros_is_the_bias(layer: nn.Linear, answer: Answer) -> None:
    x = np.array([[0] * 8, [1000] * 8, [-0.0] * 8, [1e-42] * 8], np.float32)  # the last is no normal number
    found = answer(x)
    np.testing.assert_array_equal(found[[0, 2]], np.tile(layer.bias.detach().numpy(), (2, 1)))
    np.testing.assert_allclose(found[3], layer.bias.detach().numpy(), atol=1e-30)


def test_a_row_does_not_know_the_others(answer: Answer) -> None:
    x = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    np.testing.assert_array_equal(answer(np.concatenate([x, 1e6 * x]))[:3], answer(x))
