"""Linear layers that read a layer normalisation, in TFLite files of vision transformers of two libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from edgekd.compress.fold import Program, fold
from edgekd.export.tflite_file import float_tflite, read_tflite
from edgekd.export.tflite_norms import unfolded_tflite

from .conftest import images


def timm_vit() -> nn.Module:
    import timm

    sizes: dict[str, Any] = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 4}
    return timm.create_model("deit_tiny_distilled_patch16_224", num_classes=5, **sizes)


def torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    sizes: dict[str, Any] = {"image_size": 16, "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 24}
    return VisionTransformer(**sizes, mlp_dim=48, num_classes=5)


@pytest.fixture(scope="module", params=[timm_vit, torchvision_vit], ids=["timm", "torchvision"])
def transformer(request: pytest.FixtureRequest) -> Program:
    torch.manual_seed(0)
    model = request.param().eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases, and factors of the norms: no two alike
            nn.init.uniform_(parameter, 0.5, 2)
        else:
            nn.init.normal_(parameter, 0, parameter[0].numel() ** -0.5)
    return fold(model, (images(4, 1, 16),))


def answers(content: bytes, samples: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    given, taken = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows: list[np.ndarray] = []
    for sample in samples.transpose(0, 2, 3, 1):
        scale, zero = given["quantization"]
        row = sample[None] if not scale else np.clip(np.rint(sample[None] / scale) + zero, -128, 127)
        interpreter.set_tensor(given["index"], row.astype(given["dtype"]))
        interpreter.invoke()
        scale, zero = taken["quantization"]
        found = interpreter.get_tensor(taken["index"]).astype(np.float32)
        rows.append((found - zero) * scale if scale else found)
    return np.concatenate(rows)


def test_the_unfolded_file_is_the_same_function_of_the_networks_own_weights(transformer: Program) -> None:
    folded, unfolded = float_tflite(transformer), unfolded_tflite(transformer)
    samples = images(6, 3, 16).numpy()
    expected = transformer(torch.from_numpy(samples)).numpy()
    for content in (folded, unfolded):
        np.testing.assert_allclose(answers(content, samples), expected, atol=1e-4 * np.ptp(expected))
    kinds = [[item.kind for item in read_tflite(content).operators] for content in (folded, unfolded)]
    assert kinds[1].count("ADD") >= kinds[0].count("ADD") + 4, "each block has two layers that read a norm"
    names = [name for name in read_tflite(unfolded).names if name]
    assert len(names) == len(set(names))


def test_int8(transformer: Program, describe: Any, write: Any) -> None:
    exported, folder = write("tflite", transformer, describe(transformer))
    layers = [node for node in transformer.operators().values() if node == "linear"]
    assert exported.notes["integer_kernels"]["Gemm"] == len(layers) >= 9
    assert "Gemm" not in exported.notes["float_kernels"]
    samples = images(8, 3, 16).numpy()
    expected = transformer(torch.from_numpy(samples)).numpy()
    found = answers((Path(folder) / exported.entry).read_bytes(), samples)
    error = np.abs(found - expected).max() / np.ptp(expected)
    assert 1e-3 < error < 0.08


def test_a_layer_that_reads_all_normalised_tokens_at_once() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.LayerNorm(3), nn.Linear(3 * 64, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(x.flatten(2).mT).flatten(1))

    torch.manual_seed(0)
    program, samples = fold(Flat().eval(), (images(4, 1, 8),)), images(2, 3, 8)
    expected = program(samples).numpy()
    np.testing.assert_allclose(answers(unfolded_tflite(program), samples.numpy()), expected, atol=1e-5)
