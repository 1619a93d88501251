"""Text networks in every format: the file as it ships answers a text the same alone and in a padded batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekd.benchmark import predict
from edgekd.export.parity import compare

# Far apart, so that most of a batch of the shortest and the longest is padding.
SIZES = [1, 24, 2, 21, 9, 24, 3, 16]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, networks: Any) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("texts")
    np.save(folder / "tokens.npy", np.concatenate(networks.texts(SIZES, seed=7)).astype(np.int32))
    np.save(folder / "offsets.npy", np.cumsum([0, *SIZES]))
    return folder / "tokens.npy", folder / "offsets.npy"


def both(folder: Path, files: tuple[Path, Path], scratch: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Answers in one batch of all texts, which must fit their longest, and alone; the file runs in the agent."""
    together = predict(folder, files, batch_size=len(SIZES), alone=scratch / "alone.npy")
    return together, np.load(scratch / "alone.npy")


@pytest.mark.parametrize("method", [None, "int8_static", "int8_dynamic"])
@pytest.mark.parametrize("name", ["onnx", "openvino", "tflite"])
def test_neither_padding_nor_company_changes_an_answer(
    name: str, method: str | None, files: tuple[Path, Path], networks: Any, tmp_path: Path
) -> None:
    folder = networks.exported("sequence", name, method)[1]
    together, alone = both(folder, files, tmp_path)
    assert compare(alone, together)["relative_max_error"] < 1e-5
    torchs = networks.answers("sequence", networks.texts(SIZES, seed=7))
    assert compare(torchs, together)["mean_abs_error"] / np.abs(torchs).max() < (1e-5 if method is None else 0.015)


@pytest.mark.parametrize("kind", ["token", "embedding"])
@pytest.mark.parametrize(("name", "method"), [("onnx", "int8_dynamic"), ("openvino", "int8_static")])
def test_nor_that_of_a_token_or_an_embedding(
    kind: str, name: str, method: str, files: tuple[Path, Path], networks: Any, tmp_path: Path
) -> None:
    together, alone = both(networks.exported(kind, name, method)[1], files, tmp_path)
    assert together.shape == ((sum(SIZES), networks.CLASSES) if kind == "token" else (len(SIZES), networks.WIDTH))
    assert compare(alone, together)["relative_max_error"] < 1e-5
