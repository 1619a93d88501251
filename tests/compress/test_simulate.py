from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import fold
from edgekd.compress.rules import QuantizationRules
from edgekd.models.resnet_blocks import CifarResnetModule
from edgekd.progress import QUIET

from ..simulation import Simulation, simulate

DATA = Path(os.environ.get("EDGEKD_DATA") or Path(__file__).parents[3] / "shared" / "data")


def describe(program, samples, **rules):
    section = CompressSection(method={"int8_static": {"ranges": "mse"}})
    return compress(program, lambda: iter([(samples,)]), section, QuantizationRules(**rules), QUIET)


def noise(program, description, images) -> float:
    """Energy of the error over that of the logits."""
    exact = program(images)
    return float((simulate(program, description, images) - exact).square().mean() / exact.square().mean())


def test_eight_bits_are_close_and_seven_a_little_further(program, images):
    eight = noise(program, describe(program, images.numpy()), images)
    seven = noise(program, describe(program, images.numpy(), weight_bits=7), images)
    assert 1e-7 < eight < seven < 0.02


def test_without_integer_operators_it_is_the_program(program, images):
    description = describe(program, images.numpy()).model_copy(update={"quantized": []})
    assert torch.equal(simulate(program, description, images), program(images))


def test_ruined_ranges_are_seen(program, images):
    description = describe(program, images.numpy())
    ranges = {
        name: item.model_copy(update={"low": item.low / 50, "high": item.high / 50})
        for name, item in description.activations.items()
    }
    assert noise(program, description.model_copy(update={"activations": ranges}), images) > 0.1


def test_results_lie_on_their_grid(program, images):
    description = describe(program, images.numpy())
    simulation = Simulation(program, description)
    logits = simulation.run(images).numpy()
    steps = logits / float(simulation.grid("linear").scale)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def cifar(split: str, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    images, labels = [], []
    with zipfile.ZipFile(DATA / "cifar10" / "cifar10-jpeg.zip") as archive:
        by_class: dict[str, list[str]] = {}
        for name in archive.namelist():
            if name.startswith(f"{split}/") and name.endswith(".jpg"):
                by_class.setdefault(name.split("/")[1], []).append(name)
        for label, category in enumerate(sorted(by_class)):
            for name in sorted(by_class[category])[:per_class]:
                pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"), np.float32) / 255
                images.append(((pixels - mean) / std).transpose(2, 0, 1))
                labels.append(label)
    return np.ascontiguousarray(np.stack(images)), np.array(labels)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "cifar10").is_dir(), reason=f"no CIFAR-10 in {DATA} (set EDGEKD_DATA)")
def test_int8_resnet20_keeps_its_accuracy():
    from safetensors.torch import load_file

    model = CifarResnetModule(3, 10, 3)
    model.load_state_dict(load_file(DATA / "cifar10" / "resnet20.safetensors"))
    calibration, _ = cifar("train", 10)
    images, labels = cifar("test", 20)
    program = fold(model, (torch.from_numpy(calibration[::10]),))
    x = torch.from_numpy(images)
    exact = program(x).argmax(1).numpy()
    rounded = simulate(program, describe(program, calibration), x).argmax(1).numpy()
    assert (exact == labels).mean() > 0.75
    # 200 images: two points are 4 of them.
    assert (rounded == labels).mean() > (exact == labels).mean() - 0.02
    assert (rounded == exact).mean() > 0.95
