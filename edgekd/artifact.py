"""Artifact: the files of one exported model with `manifest.json`, what passes from stage to stage and to the device."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgekd.errors import StoreError

MANIFEST = "manifest.json"
Precision = Literal["float32", "int8"]


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class FileRecord(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    size_bytes: int


class Tensor(BaseModel):
    """Signature of one input or output. `shape` holds null where the size is free; `layout` is `NCHW` or `NHWC`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    dtype: str
    shape: list[int | None]
    layout: str | None = None


class Artifact(BaseModel):
    """The manifest. Holds no date and no host path: the same inputs give the same bytes.

    Attributes:
        model: which network this is: `student`, or `teacher` for the quantized-teacher baseline.
        format: name in the family of formats, e.g. `onnx`.
        precision: `float32` or `int8`.
        target: the board it was made for.
        runtime: what runs it, e.g. `onnxruntime`: a name in the agent's `runtimes` folder.
        entry: the file that the runtime opens, relative to the manifest.
        preprocess: `{"mean", "std", "size", "channels"}`: `(x / 255 - mean) / std` on uint8 pixels; of texts
            `{"kind": "text", "max_length", "pad_id", "tokenizer"}`, the last a file of the artifact.
        quantization: what was quantized, what was left in float and why; null for float.
        parents: stage name to content digest.
        recipe: the recipe section that shaped it.
        versions: tool to version.
        licences: what the artifact derives from, to licence text or SPDX id.
        notes: facts about the export worth telling (fused integer kernels, warnings).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    manifest_version: Literal[1] = 1
    model: str
    format: str
    precision: Precision
    target: str
    runtime: str
    entry: str
    files: dict[str, FileRecord] = Field(default_factory=dict)
    inputs: list[Tensor]
    outputs: list[Tensor]
    classes: list[str]
    preprocess: dict[str, Any]
    quantization: dict[str, Any] | None = None
    parents: dict[str, str] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str | None] = Field(default_factory=dict)
    licences: dict[str, str] = Field(default_factory=dict)
    notes: dict[str, Any] = Field(default_factory=dict)

    def save(self, folder: Path) -> Artifact:
        """Records every file below `folder` and writes the manifest; returns the manifest as written."""
        files = {
            path.relative_to(folder).as_posix(): FileRecord(sha256=sha256_file(path), size_bytes=path.stat().st_size)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != MANIFEST
        }
        full = self.model_copy(update={"files": files})
        full.write(folder)
        return full

    def write(self, folder: Path) -> None:
        """Writes the manifest as it is."""
        (folder / MANIFEST).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, verify: bool = True) -> Artifact:
        """Reads and (by default) verifies an artifact folder.

        Raises:
            StoreError: no manifest, an unreadable one, a path that leaves the folder, or a file whose bytes changed.
        """
        path = folder / MANIFEST
        try:
            artifact = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StoreError("this is no artifact: it has no manifest.json", where=folder) from error
        except (ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise StoreError("the manifest cannot be read", where=path, received=error) from error
        for name, record in artifact.files.items():
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts:
                raise StoreError("the manifest names a path outside its folder", where=path, received=name)
            if verify:
                _verify(folder / name, record)
        return artifact


def _verify(path: Path, record: FileRecord) -> None:
    if not path.is_file():
        raise StoreError("a file of the artifact is missing", where=path, hint="export again: edgekd run RECIPE")
    if sha256_file(path) != record.sha256:
        raise StoreError(
            "a file of the artifact was changed after it was made",
            where=path,
            accepted=f"sha256 {record.sha256}",
            hint="export again: edgekd run RECIPE",
        )
