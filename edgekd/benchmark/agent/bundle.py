"""The artifact on the device: its manifest, its files verified, its preprocessing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

MANIFEST_VERSION = 1
REQUIRED = ("runtime", "entry", "files", "inputs", "outputs", "preprocess", "precision")


class BadBundle(Exception):
    """The artifact's folder is incomplete, altered, or made by another version."""


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def inside(folder: Path, name: str) -> Path:
    """The file called `name` in the folder.

    Raises:
        BadBundle: the name, or a link on its way, leaves the folder.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
        raise BadBundle(f"the manifest names a path outside its folder: {name}")
    path = folder / name
    root = folder.resolve()
    resolved = path.resolve()
    if root != resolved and root not in resolved.parents:
        raise BadBundle(f"a link leads out of the folder: {name}")
    return path


def load(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact whose every file has the recorded bytes.

    Raises:
        BadBundle: otherwise.
    """
    try:
        manifest: Any = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadBundle(f"the manifest cannot be read: {error}") from error
    found = cast("dict[str, Any]", manifest) if isinstance(manifest, dict) else {}
    if found.get("manifest_version") != MANIFEST_VERSION:
        raise BadBundle(f"{folder / 'manifest.json'} is no manifest of version {MANIFEST_VERSION}")
    absent = [name for name in REQUIRED if not found.get(name)]
    if absent:
        raise BadBundle(f"the manifest has no {', '.join(absent)}")
    for name, record in found["files"].items():
        path = inside(folder, name)
        if not path.is_file():
            raise BadBundle(f"a file of the artifact is missing: {name}")
        if sha256_file(path) != record["sha256"]:
            raise BadBundle(f"a file of the artifact was changed after it was made: {name}")
    if found["entry"] not in found["files"]:
        raise BadBundle(f"the manifest does not list its own entry: {found['entry']}")
    return found


def preprocess(images: np.ndarray[Any, Any], recorded: dict[str, Any]) -> np.ndarray[Any, Any]:
    """`(N, H, W, C)` uint8 pixels to `(N, C, H, W)` float32, `(x / 255 - mean) / std` per channel."""
    scaled = images.astype(np.float32) / np.float32(255)
    normal = (scaled - np.asarray(recorded["mean"], np.float32)) / np.asarray(recorded["std"], np.float32)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))
