"""Optional packages: imported where they are used, and named with their pip line when absent."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

from edgekd.errors import MissingBackend


def need(module: str, *, extra: str) -> Any:
    """Imports `module`, or says how to install it.

    Args:
        module: dotted name, e.g. `"openvino"`.
        extra: the extra of edgekd that brings it, e.g. `"openvino"`.

    Raises:
        MissingBackend: the package is not installed (a broken installation raises its own ImportError).
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".", maxsplit=1)[0]
        if error.name is None or error.name.split(".")[0] != top:
            raise
        line = f"pip install 'edgekd[{extra}]'"
        raise MissingBackend(f"the package '{top}' is not installed", hint=line) from error


def versions(*distributions: str) -> dict[str, str | None]:
    """Installed version of each distribution (None when absent), read without importing anything."""
    found: dict[str, str | None] = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
