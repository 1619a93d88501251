from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import fx, nn

from edgekd.compress.fold import Program, fold
from edgekd.compress.observe import fingerprints, observe
from edgekd.errors import CompressError

from .plain_histogram import histogram_of


def all_tensors(program: Program, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Every value of the graph at once, the way that streaming avoids."""
    interpreter = fx.Interpreter(program.module, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(x)
    return {
        node.name: value.numpy()
        for node, value in interpreter.env.items()
        if node.op in ("placeholder", "call_function") and isinstance(value, torch.Tensor)
    }


def test_equals_histograms_of_the_stored_tensors(program, images):
    seen = observe(program, [(part.numpy(),) for part in (images[:5], images[5:7], images[7:])])
    stored = all_tensors(program, images)
    assert seen.samples == len(images)
    assert set(seen.histograms) == set(stored)
    for name, value in stored.items():
        if program.operators().get(name) == "max_pool2d":
            continue
        expected = histogram_of(value)
        actual = seen.histograms[name]
        # ImageBatches of other sizes may round the last bit of a product differently: a few values change their bin.
        assert actual.radius == expected.radius and actual.counts.sum() == value.size
        assert np.abs(actual.counts - expected.counts).sum() <= 0.01 * value.size
        assert actual.minimum == pytest.approx(value.min(), rel=1e-4, abs=1e-6)
        assert actual.maximum == pytest.approx(value.max(), rel=1e-4, abs=1e-6)


def test_moved_values_share_their_sources_histogram(program, images):
    seen = observe(program, [(images.numpy(),)])
    pool = next(node for node in program.module.graph.nodes if node.name.startswith("max_pool"))
    assert seen.histograms[pool.name] is seen.histograms[pool.args[0].name]


def test_a_pad_with_another_value_than_zero_has_its_own_histogram():
    class Padded(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.conv, self.value = nn.Conv2d(3, 2, 1), value

        def forward(self, x):
            y = nn.functional.pad(self.conv(x), (1, 1), value=self.value)
            left, right = y.chunk(2, dim=1)
            return (left + right).mean((2, 3))

    for value, shared in ((0.0, True), (9.0, False)):
        program = fold(Padded(value), (torch.randn(2, 3, 4, 4),))
        found = observe(program, [(program.example[0].numpy(),)]).histograms
        assert (found["pad"] is found["conv2d"]) == shared
        assert found["getitem"] is found["pad"] and found["getitem_1"] is found["pad"]
        assert found["pad"].maximum >= value


def test_fingerprints_are_the_probe_batchs_statistics(program):
    for name, value in all_tensors(program, program.example[0]).items():
        wide = value.astype(np.float64)
        expected = (wide.mean(), wide.std(), wide.min(), wide.max(), wide.size)
        assert fingerprints(program)[name] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_no_samples(program):
    with pytest.raises(CompressError, match="no calibration samples"):
        observe(program, [])
    with pytest.raises(CompressError, match="no calibration samples"):
        observe(program, [(np.zeros((0, 3, 8, 8), np.float32),)])


def test_samples_of_another_shape(program):
    with pytest.raises(CompressError, match="another shape"):
        observe(program, [(np.zeros((2, 3, 9, 8), np.float32),)])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_input_that_is_not_finite_is_named(program, images, bad: float):
    batch = images.numpy().copy()
    batch[3, 0, 0, 0] = bad
    with pytest.raises(CompressError, match="NaN or infinity") as caught:
        observe(program, [(images.numpy(),), (batch,)])
    assert "the network's input" in str(caught.value)


def test_a_layer_that_overflows_is_named():
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1), nn.Flatten())
    nn.init.constant_(model[1].weight, 10)
    program = fold(model, (torch.rand(2, 1, 2, 2),))
    with pytest.raises(CompressError, match=r"1 \(conv2d\)"):
        observe(program, [(np.full((1, 1, 2, 2), 1e38, np.float32),)])


MEMORY = """
import resource
import numpy as np, torch
from torch import nn
from edgekd.compress.fold import fold
from edgekd.compress.observe import observe

torch.set_num_threads(1)
layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
program = fold(nn.Sequential(*layers), (torch.randn(2, 3, 32, 32),))
generator = np.random.default_rng(0)
for batches in (20, 200):
    seen = observe(program, ((generator.standard_normal((16, 3, 32, 32), np.float32),) for _ in range(batches)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_samples():
    """Peak memory of a process that sees 20 batches, and then 200."""
    done = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    few, many = map(int, done.stdout.split())
    # 200 batches are 39 MB of images and 350 MB of activations; what is left is the allocator's noise.
    assert many - few < 15e6
