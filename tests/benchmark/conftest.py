"""Small real artifacts, one per runtime, of one network; and the same network's logits by torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekd.artifact import Artifact, Tensor

SIZE, CHANNELS, CLASSES = 12, 3, 4
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "size": [SIZE, SIZE], "channels": CHANNELS}


@dataclass(frozen=True)
class Subject:
    """The network, test images and what torch makes of them."""

    model: Any
    images: NDArray[np.uint8]
    logits: NDArray[np.float32]


@pytest.fixture(scope="session")
def subject() -> Subject:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(CHANNELS, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, CLASSES),
    ).eval()
    images = np.random.default_rng(1).integers(0, 256, (37, SIZE, SIZE, CHANNELS), np.uint8)
    with torch.no_grad():
        logits = model(torch.from_numpy(normal(images))).numpy()
    return Subject(model, images, logits)


def normal(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """An independent preprocessing, one channel at a time in float64."""
    planes = [
        (images[..., c].astype(np.float64) / 255 - PREPROCESS["mean"][c]) / PREPROCESS["std"][c]
        for c in range(CHANNELS)
    ]
    return np.stack(planes, axis=1).astype(np.float32)


def save_artifact(folder: Path, fmt: str, runtime: str, entry: str, **changes: Any) -> Path:
    """Writes the manifest for the files that are in the folder."""
    layout = changes.pop("layout", "NCHW")
    shape = {"NCHW": [CHANNELS, SIZE, SIZE], "NHWC": [SIZE, SIZE, CHANNELS]}[layout]
    batch = changes.pop("batch", None)
    fields: dict[str, Any] = {
        "model": "student",
        "format": fmt,
        "precision": "float32",
        "target": "x86-avx2",
        "runtime": runtime,
        "entry": entry,
        "inputs": [Tensor(name="input", dtype="float32", shape=[batch, *shape], layout=layout)],
        "outputs": [Tensor(name="logits", dtype="float32", shape=[batch, CLASSES])],
        "classes": ["a", "b", "c", "d"],
        "preprocess": PREPROCESS,
    }
    Artifact(**{**fields, **changes}).save(folder)
    return folder


@pytest.fixture(scope="session")
def onnx_artifact(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("onnx")
    torch.onnx.export(
        subject.model,
        (torch.zeros(2, CHANNELS, SIZE, SIZE),),
        folder / "model.onnx",
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}},
        dynamo=False,
    )
    return save_artifact(folder, "onnx", "onnxruntime", "model.onnx")


@pytest.fixture(scope="session")
def onnx_int8_artifact(subject: Subject, onnx_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rows = iter([{"input": normal(subject.images)}])

        def get_next(self) -> Any:
            return next(self.rows, None)

    folder = tmp_path_factory.mktemp("onnx-int8")
    quantize_static(
        onnx_artifact / "model.onnx",
        folder / "model.onnx",
        Reader(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return save_artifact(folder, "onnx", "onnxruntime", "model.onnx", precision="int8")


@pytest.fixture(scope="session")
def openvino_artifact(onnx_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import openvino

    folder = tmp_path_factory.mktemp("openvino")
    model = openvino.convert_model(onnx_artifact / "model.onnx")
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return save_artifact(folder, "openvino", "openvino", "model.xml")


@pytest.fixture(scope="session")
def tflite_artifact(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import litert_torch
    import torch

    folder = tmp_path_factory.mktemp("tflite")
    model = litert_torch.to_channel_last_io(subject.model, args=[0])
    litert_torch.convert(model, (torch.zeros(1, SIZE, SIZE, CHANNELS),)).export(str(folder / "model.tflite"))
    return save_artifact(folder, "tflite", "litert", "model.tflite", layout="NHWC", batch=1)


@pytest.fixture(scope="session")
def tflite_int8_artifact(subject: Subject, tflite_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.utils import tfl_interpreter_utils

    folder = tmp_path_factory.mktemp("tflite-int8")
    source = str(tflite_artifact / "model.tflite")
    signature = next(iter(tfl_interpreter_utils.create_tfl_interpreter(source).get_signature_list().items()))
    rows = [{signature[1]["inputs"][0]: row[None].transpose(0, 2, 3, 1)} for row in normal(subject.images)]
    work = quantizer.Quantizer(source, recipe.static_wi8_ai8())
    result = work.quantize(work.calibrate({signature[0]: rows}))
    result.export_model(str(folder / "model.tflite"))
    return save_artifact(folder, "tflite", "litert", "model.tflite", layout="NHWC", batch=1, precision="int8")


@pytest.fixture(scope="session")
def openvino_int8_artifact(onnx_int8_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import openvino

    folder = tmp_path_factory.mktemp("openvino-int8")
    model = openvino.convert_model(onnx_int8_artifact / "model.onnx")
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return save_artifact(folder, "openvino", "openvino", "model.xml", precision="int8")


@pytest.fixture
def save() -> Callable[..., Path]:
    """`save_artifact`, for tests that make a model of their own."""
    return save_artifact


@pytest.fixture
def float_artifact(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """The float artifact of a runtime, made only when a test asks for it."""
    return lambda runtime: request.getfixturevalue(
        {"onnxruntime": "onnx_artifact", "openvino": "openvino_artifact", "litert": "tflite_artifact"}[runtime]
    )
