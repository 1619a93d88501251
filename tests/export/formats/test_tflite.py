from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgekd.errors import ExportError
from edgekd.export.parity import compare
from edgekd.export.tflite_file import read_tflite


def run(path: Path, samples: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(
        model_path=str(path),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    inputs = samples.transpose(0, 2, 3, 1)[:, None]  # (B, 1, H, W, C)
    if source["dtype"] == np.int8:
        scale, zero = source["quantization"]
        inputs = np.clip(np.rint(inputs / scale) + zero, -128, 127).astype(np.int8)
    for sample in inputs:
        interpreter.set_tensor(source["index"], np.ascontiguousarray(sample))
        interpreter.invoke()
        row = interpreter.get_tensor(result["index"])
        if result["dtype"] == np.int8:
            scale, zero = result["quantization"]
            row = (row.astype(np.float32) - zero) * np.float32(scale)
        rows.append(row[0])
    return np.stack(rows)


def test_float(program, samples, reference, write) -> None:
    exported, folder = write("tflite", program, None)
    assert exported.inputs[0].model_dump() == {
        "name": "input", "dtype": "float32", "shape": [1, 32, 32, 3], "layout": "NHWC",
    }  # fmt: skip
    assert (exported.outputs[0].name, exported.outputs[0].shape) == ("logits", [1, 10])
    assert compare(reference, run(folder / exported.entry, samples))["relative_max_error"] < 1e-5


def test_int8_is_full_integer(program, description, samples, simulated, write) -> None:
    exported, folder = write("tflite", program, description)
    graph = read_tflite((folder / exported.entry).read_bytes())
    assert (exported.inputs[0].dtype, exported.outputs[0].dtype) == ("int8", "int8")
    assert "float32" not in graph.dtypes
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(exported.notes["operators"])
    assert exported.notes["integer_kernels"]["Conv"] == 7
    assert exported.notes["float_kernels"] == {}
    item = description.activations[list(program.operators())[-1]]
    expected = simulated(program, description, samples).clip(item.minimum, item.maximum)
    assert compare(expected, run(folder / exported.entry, samples))["relative_max_error"] < 0.02


def test_kept_layers_run_in_float(program, describe, samples, simulated, write) -> None:
    description = describe(program, keep=["layer2.0.conv1", "linear"])
    exported, folder = write("tflite", program, description)
    assert exported.notes["float_kernels"] == {"Conv": 1, "Gemm": 1}
    assert exported.notes["integer_kernels"]["Conv"] == 6
    assert (exported.inputs[0].dtype, exported.outputs[0].dtype) == ("int8", "int8")
    item = description.activations[list(program.operators())[-1]]
    expected = simulated(program, description, samples).clip(item.minimum, item.maximum)
    assert compare(expected, run(folder / exported.entry, samples))["relative_max_error"] < 0.02


def test_the_ranges_are_ours(program, description, write) -> None:
    exported, folder = write("tflite", program, description)
    interpreter = Interpreter(model_path=str(folder / exported.entry))
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    ours = description.activations[program.input]
    assert scale == pytest.approx((ours.high - ours.low) / 255, rel=1e-3)
    assert scale * (-128 - zero) == pytest.approx(ours.low, abs=scale)


def test_logits_are_never_clipped(program, description, write) -> None:
    name = list(program.operators())[-1]
    item = description.activations[name]
    clipped = {**description.activations, name: item.model_copy(update={"low": item.low / 4, "high": item.high / 4})}
    exported, folder = write("tflite", program, description.model_copy(update={"activations": clipped}))
    scale, _ = Interpreter(model_path=str(folder / exported.entry)).get_output_details()[0]["quantization"]
    assert scale * 256 > item.maximum - item.minimum


def test_same_bytes_and_nothing_printed(program, description, write, capfd) -> None:
    def digest(folder: str) -> str:
        _, written = write("tflite", program, description, folder)
        return hashlib.sha256((written / "model.tflite").read_bytes()).hexdigest()

    assert digest("one") == digest("two")
    assert capfd.readouterr().out == ""


def test_seven_bits_are_not_needed_and_it_says_so(program, description, write) -> None:
    exported, _ = write("tflite", program, description, weight_bits=7)
    assert exported.notes["weight_bits"] == 8
    assert "saturate" in exported.notes["weight_bits_reason"]


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x1c\x00\x00\x00TFL3" + b"\xff" * 40])
def test_damaged_files_are_refused(content: bytes) -> None:
    with pytest.raises(ExportError, match="TFLite file"):
        read_tflite(content)
