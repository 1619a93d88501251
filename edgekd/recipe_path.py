"""Paths in a recipe: relative to the recipe's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

from pydantic import AfterValidator, ValidationInfo


def _resolve(path: Path, info: ValidationInfo) -> Path:
    context = cast(dict[str, Path] | None, info.context)
    try:
        return path if context is None else context["folder"] / path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no such user: {path.parts[0]}") from error


RecipePath = Annotated[Path, AfterValidator(_resolve)]
"""A path field. Validated with the context `{"folder": <folder of the recipe>}`; without it, taken as it is."""
