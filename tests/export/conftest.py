"""A CIFAR ResNet-8 with statistics of its own, described once and exported by every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekd.compress import CompressSection, compress
from edgekd.compress.description import Description
from edgekd.compress.fold import Program, fold
from edgekd.compress.rules import QuantizationRules
from edgekd.export import FORMATS, Exported, export
from edgekd.models.source import MODELS
from edgekd.progress import Progress

from ..simulation import simulate

Describe = Callable[..., Description]


def randomise(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return model


def images(count: int, seed: int, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def program() -> Program:
    torch.manual_seed(0)
    model = MODELS.parse({"cifar_resnet": {"depth": 8}}).build(10, 3)
    return fold(randomise(model), (images(4, 1),))


@pytest.fixture(scope="session")
def describe() -> Describe:
    def call(program: Program, *, keep: list[str] | None = None, **rules: Any) -> Description:
        size = program.example[0].shape[-1]
        section = CompressSection.model_validate(
            {"method": {"int8_static": {"ranges": "minmax"}}, "keep_float": keep or []}
        )
        batches = [(program.example[0].numpy(),), (images(16, 2, size).numpy(),)]
        return compress(program, lambda: iter(batches), section, QuantizationRules(**rules), Progress(quiet=True))

    return call


@pytest.fixture(scope="session")
def description(program: Program, describe: Describe) -> Description:
    return describe(program)


@pytest.fixture(scope="session")
def samples() -> NDArray[np.float32]:
    """(N, C, H, W) that calibration has not seen."""
    return images(8, 3).numpy()


@pytest.fixture(scope="session")
def reference(program: Program, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return program(torch.from_numpy(samples)).numpy()


@pytest.fixture(scope="session")
def simulated() -> Callable[..., NDArray[np.float32]]:
    """The reference arithmetic's logits, unrounded: a file's last layer need not quantize its result."""

    def call(program: Program, description: Description, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        last = list(program.operators())[-1]
        activations = {name: item for name, item in description.activations.items() if name != last}
        unrounded = description.model_copy(update={"activations": activations})
        return simulate(program, unrounded, torch.from_numpy(samples)).numpy()

    return call


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Exported, Path]]:
    def call(
        name: str, program: Program, description: Description | None, folder: str = "out", **rules: Any
    ) -> tuple[Exported, Path]:
        target = tmp_path / folder
        return export(program, description, FORMATS.parse(name), target, QuantizationRules(**rules)), target

    return call
