"""Every kind of shipped network in INT8: the file as it ships, alone and in batches, in its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.artifact import Artifact
from edgekd.benchmark import predict
from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import Program, fold
from edgekd.compress.rules import QuantizationRules
from edgekd.data.arrays import Preprocess
from edgekd.export import FORMATS, export
from edgekd.export.parity import compare
from edgekd.models import MODELS
from edgekd.progress import QUIET

from ..models.networks import lively, vit

SIZE, SAMPLES, CLASSES = 32, 40, 5
READ = Preprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (SIZE, SIZE), 3)


class Token(nn.Module):
    """A learned token beside the image's, as many times as there are images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 3, stride=2)
        self.token = nn.Parameter(torch.randn(1, 48))
        self.head = nn.Linear(96, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.conv(x).mean((2, 3)), self.token.expand(x.shape[0], -1)], 1))


class Means(nn.Module):
    """A mean of 8-bit tokens that float operators read."""

    def __init__(self, keepdim: bool) -> None:
        super().__init__()
        self.stem, self.tokens, self.head = nn.Conv2d(3, 24, 8, stride=8), nn.Linear(24, 24), nn.Linear(24, CLASSES)
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, 16, 24)
        x = x + self.tokens(x)
        x = torch.sin(x.mean(1, keepdim=self.keepdim))
        return self.head(x).reshape(-1, CLASSES)


class Dense(nn.Module):
    """DenseNet's pattern: a batch normalisation, which folds into nothing, of a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.grow = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)
        self.norm, self.mix, self.head = nn.BatchNorm2d(24), nn.Conv2d(24, 16, 1), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.norm(torch.cat([x, self.grow(x)], 1)))
        return self.head(F.relu(self.mix(x)).mean((2, 3)))


class Clipped(Dense):
    """A concatenation that is clipped before the batch normalisation reads it."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.norm(F.relu(torch.cat([x, self.grow(x)], 1))))
        return self.head(F.relu(self.mix(x)).mean((2, 3)))


def convnext() -> nn.Module:
    import timm

    return lively(
        lambda: timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(16, 24, 32, 48), num_classes=CLASSES)
    )


def swin() -> nn.Module:
    import torchvision

    sizes = {"patch_size": [2, 2], "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": [4, 4]}
    return lively(lambda: torchvision.models.SwinTransformer(**sizes, num_classes=CLASSES))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cifar_resnet": lambda: lively(lambda: MODELS.parse({"cifar_resnet": {"depth": 8}}).build(CLASSES, 3)),
    "token": lambda: lively(Token),
    "means": lambda: lively(lambda: Means(False)),
    "kept means": lambda: lively(lambda: Means(True)),
    "dense": lambda: lively(Dense),
    "clipped": lambda: lively(Clipped),
    "class token": lambda: vit(img_size=SIZE),
    "LayerScale": lambda: vit(img_size=SIZE, init_values=0.3),
    "token mean": lambda: vit(img_size=SIZE, class_token=False, global_pool="avg"),
    "convnext": convnext,
    "swin": swin,
}


def pixels(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Program, Path]]:
    programs: dict[str, Any] = {}

    def call(network: str, name: str) -> tuple[Program, Path]:
        if network not in programs:
            program = fold(NETWORKS[network](), (torch.from_numpy(READ.apply(pixels(4, 1))),))
            section = CompressSection.model_validate({"method": {"int8_static": {"ranges": "minmax"}}})
            calibration = [(program.example[0].numpy(),), (READ.apply(pixels(32, 2)),)]
            programs[network] = (
                program,
                compress(program, lambda: iter(calibration), section, QuantizationRules(), QUIET),
            )
        program, description = programs[network]
        folder = tmp_path_factory.mktemp("artifact")
        written = export(program, description, FORMATS.parse(name), folder, QuantizationRules())
        Artifact(
            model="student",
            format=name,
            precision="int8",
            target="host",
            runtime=FORMATS.load(name).runtime,
            entry=written.entry,
            inputs=written.inputs,
            outputs=written.outputs,
            classes=[str(index) for index in range(CLASSES)],
            preprocess=READ.to_json(),
            notes=written.notes,
        ).save(folder)
        return program, folder

    return call


@pytest.mark.parametrize("name", ["onnx", "openvino", "tflite"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_file_answers_the_same_alone_in_batches_and_as_written(
    network: str, name: str, made: Callable[[str, str], tuple[Program, Path]], tmp_path: Path
) -> None:
    program, folder = made(network, name)
    images = pixels(SAMPLES, 3)
    torchs = program(torch.from_numpy(READ.apply(images))).numpy()
    shipped = predict(folder, images, batch_size=16, alone=tmp_path / "alone.npy")
    answers = {
        "shipped": shipped,
        "alone": np.load(tmp_path / "alone.npy"),
        "written": predict(folder, images, exact=True),
    }
    # What is compiled for one sample fuses otherwise, so that single logits may be further off than the mean.
    errors = {form: compare(torchs, found)["mean_abs_error"] / np.abs(torchs).max() for form, found in answers.items()}
    assert max(errors.values()) < 0.015, errors
