from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, numpy_helper

from edgekd.compress import affine
from edgekd.compress.fold import fold
from edgekd.errors import ExportError
from edgekd.export.parity import compare
from edgekd.models import parameter_count
from edgekd.models.source import MODELS


def run(path, samples, *, exact: bool = False) -> np.ndarray:
    options = ort.SessionOptions()
    if exact:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options).run(["logits"], {"input": samples})[0]


def test_float(program, samples, reference, write) -> None:
    exported, folder = write("onnx", program, None)
    model = onnx.load(folder / exported.entry)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert exported.inputs[0].model_dump() == {
        "name": "input", "dtype": "float32", "shape": [None, 3, 32, 32], "layout": "NCHW",
    }  # fmt: skip
    assert exported.outputs[0].shape == [None, 10]
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    for batch in (1, 3, len(samples)):
        found = run(folder / exported.entry, samples[:batch])
        assert compare(reference[:batch], found)["relative_max_error"] < 1e-5


def test_same_program_same_bytes_and_no_host_path(describe, write) -> None:
    def digests(folder: str) -> list[str]:
        torch.manual_seed(0)
        model = MODELS.parse({"cifar_resnet": {"depth": 8}}).build(10, 3)
        program = fold(model, (torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)),))
        found: list[str] = []
        for name, description in (("float", None), ("int8", describe(program))):
            _, written = write("onnx", program, description, f"{folder}-{name}")
            content = (written / "model.onnx").read_bytes()
            assert b"site-packages" not in content
            assert b".py" not in content
            found.append(hashlib.sha256(content).hexdigest())
        return found

    assert digests("one") == digests("two")


def test_int8_fuses_every_layer(program, description, write) -> None:
    exported, folder = write("onnx", program, description)
    kinds = Counter(program.operators().values())
    assert exported.notes["integer_kernels"]["Conv"] == kinds["conv2d"] == 7
    assert exported.notes["integer_kernels"]["Gemm"] == kinds["linear"] == 1
    assert exported.notes["integer_kernels"]["Add"] == kinds["add"] == 3
    assert exported.notes["float_kernels"] == {}
    assert exported.notes["unfused"] == {}
    assert (folder / "model.onnx").stat().st_size < 0.35 * 4 * parameter_count(program.module)


@pytest.mark.parametrize("bits", [7, 8])
def test_int8_answers_as_the_reference_arithmetic(
    bits, program, describe, samples, simulated, reference, write
) -> None:
    description = describe(program, weight_bits=bits)
    exported, folder = write("onnx", program, description, weight_bits=bits)
    expected = simulated(program, description, samples)
    found = run(folder / exported.entry, samples, exact=True)
    simulated = compare(expected, found)
    assert simulated["relative_max_error"] < 0.01
    # A file whose quantizers were all in the wrong place would also be far from the network.
    assert compare(reference, found)["relative_max_error"] < 0.06
    assert compare(reference, found)["relative_max_error"] > 1e-4


def test_weights_are_int8_per_channel_and_activations_uint8(program, description, write) -> None:
    exported, folder = write("onnx", program, description)
    model = onnx.load(folder / exported.entry)
    constants = {item.name: item for item in model.graph.initializer}
    weights = [item for item in constants.values() if item.data_type == TensorProto.INT8 and len(item.dims) >= 2]
    assert len(weights) == 8
    dequantizers = {node.input[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for weight in weights:
        scale = numpy_helper.to_array(constants[dequantizers[weight.name].input[1]])
        assert scale.shape == (weight.dims[0],)
    points = {constants[node.input[2]].data_type for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert points == {TensorProto.UINT8}
    assert not [item for item in constants.values() if item.data_type == TensorProto.FLOAT and len(item.dims) >= 2]


def test_the_ranges_are_ours(program, description, write) -> None:
    exported, folder = write("onnx", program, description)
    model = onnx.load(folder / exported.entry)
    constants = {item.name: item for item in model.graph.initializer}
    quantizer = next(node for node in model.graph.node if node.input[0] == "input")
    scale = float(numpy_helper.to_array(constants[quantizer.input[1]]))
    zero_point = int(numpy_helper.to_array(constants[quantizer.input[2]]))
    ours = description.activations[program.input]
    grid = affine.activation(ours.low, ours.high)
    assert scale == pytest.approx(float(grid.scale), rel=1e-5)
    assert zero_point == int(grid.zero_point)


@pytest.mark.parametrize("bits", [7, 8])
def test_seven_bits_leave_the_top_of_the_weights_unused(bits, program, describe, write) -> None:
    exported, folder = write("onnx", program, describe(program), weight_bits=bits)
    assert exported.notes["weight_bits"] == bits
    model = onnx.load(folder / exported.entry)
    largest = max(
        int(np.abs(numpy_helper.to_array(item).astype(int)).max())
        for item in model.graph.initializer
        if item.data_type == TensorProto.INT8 and len(item.dims) >= 2
    )
    assert largest == (64 if bits == 7 else 127)


@pytest.mark.parametrize("keep", [["conv1"], ["layer2.0.conv1", "linear"], ["layer*.conv2"]])
def test_kept_layers_run_in_float(keep, program, describe, samples, simulated, write) -> None:
    description = describe(program, keep=keep)
    layers = [item for item in description.kept_float if item.operator in {"conv2d", "linear"}]
    exported, folder = write("onnx", program, description)
    assert sum(exported.notes["float_kernels"].values()) == len(layers)
    total = exported.notes["integer_kernels"]["Conv"] + exported.notes["integer_kernels"].get("Gemm", 0)
    assert total == 8 - len(layers)
    expected = simulated(program, description, samples)
    for exact in (True, False):
        if exact or "avx512_vnni" in Path("/proc/cpuinfo").read_text():
            found = run(folder / exported.entry, samples, exact=exact)
            assert compare(expected, found)["relative_max_error"] < 0.01


def test_one_scale_per_tensor_when_described_so(program, description, write) -> None:
    exported, folder = write("onnx", program, description.model_copy(update={"per_channel": False}))
    constants = onnx.load(folder / exported.entry).graph.initializer
    scales = [item for item in constants if item.name.endswith("_scale")]
    assert scales
    assert all(numpy_helper.to_array(item).size == 1 for item in scales)


def test_a_description_of_another_program_is_refused(program, description, write) -> None:
    activations = {
        name: item.model_copy(update={"fingerprint": (9.0, 1.0, -3.0, 99.0, item.fingerprint[4])})
        for name, item in description.activations.items()
    }
    with pytest.raises(ExportError, match="not in the exported graph"):
        write("onnx", program, description.model_copy(update={"activations": activations}))


def test_a_missing_tensor_of_a_quantized_operator_is_named(program, description, write) -> None:
    activations = {name: item for name, item in description.activations.items() if name != program.input}
    with pytest.raises(ExportError, match=r"no counterpart(.|\n)*received: input"):
        write("onnx", program, description.model_copy(update={"activations": activations}))


def test_everything_kept_leaves_nothing_to_quantize(program, description, write) -> None:
    with pytest.raises(ExportError, match="no operator to quantize"):
        write("onnx", program, description.model_copy(update={"quantized": []}))


def test_the_checker_accepts_it(program, description, write) -> None:
    exported, folder = write("onnx", program, description)
    onnx.checker.check_model(str(folder / exported.entry), full_check=True)


def test_an_operator_that_onnx_has_not_is_named(write) -> None:
    class Inverse(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.erfinv(torch.tanh(x.mean((2, 3))))

    with pytest.raises(ExportError, match=r"received: DispatchError: No ONNX function found for .*erf_inv") as caught:
        write("onnx", fold(Inverse(), (torch.randn(8, 3, 8, 8),)), None)
    assert "\x1b" not in str(caught.value)
