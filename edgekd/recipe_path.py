"""Paths in a recipe: relative to the recipe's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo


def _resolve(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("folder")
    return path if base is None else Path(base) / path.expanduser()


RecipePath = Annotated[Path, AfterValidator(_resolve)]
"""A path field. Validated with the context `{"folder": <folder of the recipe>}`; without it, taken as it is."""
