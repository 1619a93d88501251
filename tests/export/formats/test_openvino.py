from __future__ import annotations

import hashlib
import platform

import numpy as np
import openvino as ov
import pytest

from edgekd.export.parity import compare
from edgekd.models import parameter_count


def run(path, samples) -> np.ndarray:
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(str(path), "CPU", settings)(samples)[0]


def test_float(program, samples, reference, write) -> None:
    exported, folder = write("openvino", program, None)
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "model.xml"]
    assert exported.inputs[0].shape == [None, 3, 32, 32]
    assert (folder / "model.bin").stat().st_size > 3.9 * parameter_count(program.module), "weights were compressed"
    for batch in (1, len(samples)):
        assert compare(reference[:batch], run(folder / exported.entry, samples[:batch]))["relative_max_error"] < 1e-5


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="counts the x86 plugin's kernels")
def test_int8_runs_in_integers(program, describe, samples, simulated, write) -> None:
    description = describe(program, weight_bits=7)
    exported, folder = write("openvino", program, description, weight_bits=7)
    assert exported.notes["integer_kernels"] == {"Conv": 7, "MatMul": 1}
    assert exported.notes["float_kernels"] == {}
    expected = simulated(program, description, samples)
    assert compare(expected, run(folder / exported.entry, samples))["relative_max_error"] < 0.02


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="counts the x86 plugin's kernels")
def test_kept_layers_run_in_float(program, describe, write) -> None:
    exported, _ = write("openvino", program, describe(program, keep=["layer2.0.conv1", "linear"]))
    assert exported.notes["float_kernels"] == {"Conv": 1, "MatMul": 1}


def test_same_bytes_and_no_host_path(program, description, write, tmp_path) -> None:
    def digest(folder: str) -> str:
        _, written = write("openvino", program, description, folder)
        content = (written / "model.xml").read_bytes() + (written / "model.bin").read_bytes()
        assert str(tmp_path).encode() not in content
        return hashlib.sha256(content).hexdigest()

    assert digest("one") == digest("two")
