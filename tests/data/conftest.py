"""Small real image trees."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekd.data import DataSection

Tree = Callable[..., Path]


def picture(seed: int, size: tuple[int, int] = (12, 10)) -> Image.Image:
    """A random RGB image of (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_tree(root: Path, folders: dict[str, int], start: int = 0) -> Path:
    """Writes `count` distinct PNG files into each folder."""
    seed = start
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture(seed).save(root / folder / f"{index:03d}.png")
            seed += 1
    return root


def pack(folder: Path, archive: Path) -> Path:
    """A zip of a folder's files."""
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.rglob("*")):
            stream.write(path, path.relative_to(folder))
    return archive


def section(path: Path, **fields: object) -> DataSection:
    """A data section that reads an image folder."""
    return DataSection.model_validate({"reader": {"image_folder": {"path": str(path)}}, "size": [10, 12], **fields})


@pytest.fixture
def data_root() -> Path:
    """The real datasets, or a skip."""
    named = os.environ.get("EDGEKD_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not (root / "cifar10" / "cifar10-jpeg.zip").is_file():
        pytest.skip("set EDGEKD_DATA to the folder that holds cifar10/cifar10-jpeg.zip")
    return root
