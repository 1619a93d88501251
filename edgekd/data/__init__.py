"""Data: `prepare` decodes a source once into arrays with a fixed three-way split and a calibration set.

    reader ──> split by class ──> decode, resize, crop ──> images.npy, labels.npy, split.npy
                              └─> or tokenise          ──> tokens.npy, offsets.npy, labels.npy, split.npy
                                                      └──> the calibration set (disjoint from the test split)

Sources are readers, one per file of `readers/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekd.data.key import data_key
from edgekd.data.reader import READERS, Reader
from edgekd.data.section import CalibrationSection, DataSection
from edgekd.progress import Progress

__all__ = ["READERS", "CalibrationSection", "DataSection", "Reader", "data_key", "prepare"]


def prepare(section: DataSection, seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    """Decodes everything once and writes what `edgekd.data.dataset.load_data` opens.

    Args:
        section: the recipe's `data:` block.
        seed: decides the split and the calibration set.
        folder: existing folder; what an earlier attempt left in it is replaced.
        progress: told about long work and about every warning.

    Returns:
        The facts that the report shows: classes, counts per split and class, hashes, warnings, calibration.

    Raises:
        DataError: the source is missing, inconsistent or (with `on_corrupt: refuse`) has corrupt images.
        StoreError: the prepared images cannot fit on the disk.
        MissingBackend: the package that reads the source is not installed.
    """
    if section.reader.kind == "text":
        from edgekd.data.text_preparation import prepare_texts

        return prepare_texts(section, seed, folder, progress)
    from edgekd.data.image_preparation import prepare_images

    return prepare_images(section, seed, folder, progress)
