"""What ResNets do not have: padded max pooling, squeeze-and-excitation, hard activations, concatenation, tokens."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.compress.fold import Program, fold
from edgekd.export.parity import compare


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.squeeze = nn.Conv2d(16, 4, 1)
        self.excite = nn.Conv2d(4, 16, 1)
        self.left = nn.Conv2d(16, 8, 1)
        self.right = nn.Conv2d(16, 8, 3, padding=1)
        self.tokens = nn.Linear(16, 16)
        self.deep = nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.depthwise(self.pool(F.relu(self.stem(x)))))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.hardswish(x * gate)
        x = torch.cat([F.relu(self.left(x)), F.relu(self.right(x))], dim=1)
        x = F.relu(self.tokens(x.flatten(2).transpose(1, 2)))  # (B, tokens, C)
        return self.head(F.relu(self.deep(x.mean(1))))


@pytest.fixture(scope="module")
def mixed() -> Program:
    torch.manual_seed(3)
    return fold(Mixed(), (torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)),))


def answers(path, samples) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options).run(["logits"], {"input": samples})[0]


def test_onnx(mixed, describe, samples, simulated, write) -> None:
    description = describe(mixed)
    exported, folder = write("onnx", mixed, description)
    assert exported.notes["integer_kernels"]["Conv"] == 6
    assert exported.notes["integer_kernels"]["Gemm"] == 2
    assert exported.notes["integer_kernels"]["MatMul"] == 1
    assert exported.notes["integer_kernels"]["Concat"] == 1
    assert exported.notes["float_kernels"] == {}
    assert "MaxPool" in exported.notes["operators"]
    expected = simulated(mixed, description, samples)
    assert compare(expected, answers(folder / exported.entry, samples))["relative_max_error"] < 0.03


def test_openvino(mixed, describe, write) -> None:
    exported, _ = write("openvino", mixed, describe(mixed, weight_bits=7), weight_bits=7)
    assert exported.notes["float_kernels"] == {}
    assert exported.notes["integer_kernels"]["Conv"] == 6


def test_tflite(mixed, describe, write) -> None:
    exported, _ = write("tflite", mixed, describe(mixed))
    left = exported.notes["left_float"]
    assert list(exported.notes["float_kernels"].items()) in ([], [("Conv", 1)])
    assert set(left) <= {"excite", *(name for name in left if name[0].isdigit())}
    assert "PADV2" in exported.notes["operators"]


def test_padding_before_max_pooling_stays_in_integers(mixed, describe, write) -> None:
    from edgekd.export.tflite_file import read_tflite

    exported, folder = write("tflite", mixed, describe(mixed))
    graph = read_tflite((folder / exported.entry).read_bytes())
    padded = next(item for item in graph.operators if item.kind == "PADV2")
    pooled = next(item for item in graph.operators if item.kind == "MAX_POOL_2D")
    assert {graph.dtypes[padded.outputs[0]], graph.dtypes[pooled.outputs[0]]} == {"int8"}


def test_tensorrt(mixed, describe, samples, write) -> None:
    description = describe(mixed, activations="symmetric")
    exported, folder = write("tensorrt", mixed, description)
    assert exported.notes["float_kernels"] == {}
    reference = mixed(torch.from_numpy(samples)).numpy()
    assert compare(reference, answers(folder / exported.entry, samples))["relative_max_error"] < 0.06


def test_an_operator_that_onnx_cannot_express_is_named(write) -> None:
    from edgekd.errors import ExportError

    class Strange(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.i0(x.mean((2, 3)))

    program = fold(Strange(), (torch.randn(2, 3, 8, 8),))
    for name in ("onnx", "tflite"):
        with pytest.raises(ExportError):
            write(name, program, None, name)


class Pools(nn.Module):
    """Windows of different sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(144, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        parts = [F.adaptive_avg_pool2d(x, 3), F.adaptive_max_pool2d(x, 3)]
        return self.head(torch.cat([part.flatten(1) for part in parts], 1))


class Enlarging(nn.Module):
    """A transposed convolution, which stays in float, between two that do not; and a concatenation of one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.up = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.conv, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.relu(self.up(F.relu(self.stem(x)))))
        return self.head(F.max_pool2d(torch.cat([F.relu(x)], 1), 2).mean((2, 3)))


@pytest.mark.parametrize(("network", "integer"), [(Pools, 1), (Enlarging, 2)])
@pytest.mark.parametrize("name", ["onnx", "openvino", "tflite"])
def test_operators_that_formats_lack_or_keep_in_float(
    name: str, network: type[nn.Module], integer: int, describe, write
) -> None:
    torch.manual_seed(0)
    program = fold(network().eval(), (torch.randn(4, 3, 32, 32),))
    kernels = write(name, program, describe(program))[0].notes
    assert kernels["integer_kernels"]["Conv"] == integer and "Conv" not in kernels["float_kernels"]
    assert kernels["float_kernels"].get("ConvTranspose", 0) == integer - 1


def test_branches_are_merged(write, tmp_path) -> None:
    import timm

    from .conftest import randomise

    model = randomise(timm.create_model("repvgg_a0", num_classes=5)).eval()
    x = torch.randn(2, 3, 32, 32)
    program = fold(model, (x,))
    assert list(program.operators().values()).count("conv2d") == 22 and "add" not in program.operators().values()
    with torch.no_grad():
        assert compare(model(x).numpy(), program(x).numpy())["relative_max_error"] < 1e-4
    assert any(hasattr(module, "conv_kxk") for module in model.modules()), "the network itself was changed"
