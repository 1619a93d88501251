"""One runtime per file; the file's name is the `runtime` of a manifest.

A file has two functions. `version()` imports the runtime and returns its version. `open_model(folder, manifest,
threads, exact)` returns a `Session`. A runtime that compiles for minutes also has `build_ahead(folder, manifest,
batch_size, tokens)`, which is called before any clock starts and returns facts about the build.

A batch is `(N, C, H, W)` float32 images, or of texts the pair of token ids and attention mask, `(N, T)` int64.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


class MissingRuntime(Exception):
    """The runtime is not installed; the second argument is the command that installs it."""


class Unsupported(Exception):
    """The runtime cannot do what the job asks for."""


def installed(module: str, install: str) -> Any:
    """The runtime's module.

    Raises:
        MissingRuntime: there is none; `install` is the command that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".", maxsplit=1)[0].replace("_", "-")
        raise MissingRuntime(f"{package} is not installed", install) from error


def arrays(batch: Any) -> list[np.ndarray[Any, Any]]:
    """The model's inputs, each contiguous."""
    return [np.ascontiguousarray(batch)] if hasattr(batch, "ndim") else [np.ascontiguousarray(part) for part in batch]


def too_long(manifest: dict[str, Any], tokens: int | None) -> str | None:
    """Why a model cannot take texts of this many tokens; None: it can."""
    limit = manifest["preprocess"].get("max_length")
    if tokens is None or limit is None or tokens <= limit:
        return None
    return f"the model takes at most {limit} tokens"


class Session:
    """An opened model. Only `run` is timed."""

    # Why the process's resident memory says nothing about this runtime; None: it does.
    memory_reason: str | None = None

    def reshape(self, batch_size: int, tokens: int | None = None, pinned: bool = False) -> str | None:
        """Makes the next batches this size; returns why that is not possible, or None. Called before the first run.

        `tokens`: the length of the next texts; None: images, or texts of any length. `pinned`: a runtime that compiles
        may compile for these sizes alone, as a deployment would; otherwise what the file leaves free stays free.
        """
        raise NotImplementedError

    def prepare(self, batch: Any) -> Any:
        """A batch in the model's own layout and type."""
        raise NotImplementedError

    def run(self, prepared: Any) -> Any:
        """One inference."""
        raise NotImplementedError

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """What `run` returned, as `(N, K)` float32 logits; `(N, T, K)` where tokens are classified."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What is worth knowing about how the model runs."""
        return {}

    def __call__(self, batch: Any) -> np.ndarray[Any, Any]:
        """The logits of a batch."""
        return self.finish(self.run(self.prepare(batch)))
