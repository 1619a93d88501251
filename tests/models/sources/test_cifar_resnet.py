"""CIFAR ResNets: the published checkpoints, an independent forward pass, hand-computed sizes."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from edgekd.errors import ModelError
from edgekd.models import MODELS, ModelSection, load, parameter_count
from edgekd.models.checkpoint import read_tensors
from edgekd.models.macs import macs

DATA = Path(os.environ.get("EDGEKD_DATA") or Path(__file__).parents[3].parent / "shared" / "data") / "cifar10"
needs_data = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason=f"no CIFAR-10 data in {DATA}")]


def network(depth: int = 8, classes: int = 10, channels: int = 3) -> torch.nn.Module:
    return load(ModelSection.model_validate({"model": {"cifar_resnet": {"depth": depth}}}), classes, channels, 0)


@pytest.mark.parametrize(
    ("depth", "parameters"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_parameters_are_those_of_the_paper(depth: int, parameters: int) -> None:
    assert parameter_count(network(depth)) == parameters


def test_macs_by_hand() -> None:
    stem, head = 32 * 32 * 16 * 3 * 9, 640
    one = 32 * 32 * 16 * 16 * 9  # the same for every convolution within a stage
    assert (
        macs(network(20), [torch.zeros(1, 3, 32, 32)]) == stem + 6 * one + 2 * (one // 2 + 5 * one) + head == 40_551_040
    )
    assert macs(network(8), [torch.zeros(1, 3, 32, 32)]) == stem + 2 * one + 2 * (one // 2 + one) + head


def test_shortcut_is_every_second_pixel_with_channels_padded_on_both_sides() -> None:
    block = network().layer2[0].eval()
    for parameter in block.bn2.parameters():
        parameter.data.zero_()  # silences the residual branch: only the shortcut is left
    x = torch.rand(2, 16, 8, 8)
    expected = torch.zeros(2, 32, 4, 4)
    expected[:, 8:24] = x[:, :, ::2, ::2]
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize(("size", "channels"), [((32, 32), 1), ((28, 28), 1), ((17, 40), 3)])
def test_other_sizes_and_grey(size: tuple[int, int], channels: int) -> None:
    assert network(8, 7, channels)(torch.rand(2, channels, *size)).shape == (2, 7)


def test_taps_see_what_the_block_puts_out() -> None:
    """No operation writes into a tensor that a hook may have kept."""
    model, kept = network().eval(), {}
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda module, args, out, name=name: kept.update({name: (out, out.detach().clone())})
        )
    model(torch.rand(2, 3, 16, 16))
    assert all(torch.equal(out, copy) for out, copy in kept.values())


def test_has_no_published_weights() -> None:
    with pytest.raises(ModelError, match="path of a"):
        MODELS.parse("cifar_resnet").pretrained(10, 3)


def reference(tensors: dict[str, torch.Tensor], x: torch.Tensor, blocks: int) -> torch.Tensor:
    """The paper's network in functional form, straight from the checkpoint."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        parts = [tensors[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *parts)

    x = norm(functional.conv2d(x, tensors["conv1.weight"], padding=1), "bn1").relu()
    for stage in (1, 2, 3):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = norm(
                functional.conv2d(x, tensors[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1"
            ).relu()
            y = norm(functional.conv2d(y, tensors[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if stride == 2:
                zeros = torch.zeros(len(x), x.shape[1] // 2, *y.shape[2:])
                x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1)
            x = (y + x).relu()
    return functional.linear(x.mean((2, 3)), tensors["linear.weight"], tensors["linear.bias"])


@pytest.mark.parametrize(
    ("depth", "published"), [pytest.param(20, 0.8103, marks=needs_data), pytest.param(56, 0.8320, marks=needs_data)]
)
def test_published_checkpoints(depth: int, published: float) -> None:
    path = DATA / f"resnet{depth}.safetensors"
    model = load(
        ModelSection.model_validate({"model": {"cifar_resnet": {"depth": depth}}, "weights": path}), 10, 3, 0
    ).eval()
    tensors = read_tensors(path)
    assert {name for name in model.state_dict() if not name.endswith("tracked")} == set(tensors)
    with zipfile.ZipFile(DATA / "cifar10-jpeg.zip") as archive:
        files = sorted(name for name in archive.namelist() if name.startswith("test/") and name.endswith(".jpg"))[::10]
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in files])
    classes = sorted({name.split("/")[1] for name in files})
    labels = torch.tensor([classes.index(name.split("/")[1]) for name in files])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in x.split(250)])
        torch.testing.assert_close(logits[:50], reference(tensors, x[:50], (depth - 2) // 6), rtol=1e-3, atol=1e-3)
    accuracy = float((logits.argmax(1) == labels).float().mean())
    assert accuracy == pytest.approx(published, abs=0.03)  # 1,000 of 10,000 images: 2.5 standard errors
