"""One runtime per file; the file's name is the `runtime` of a manifest.

A file has two functions. `version()` imports the runtime and returns its version. `open_model(folder, manifest,
threads, exact)` returns a `Session`. A runtime that compiles for minutes also has `build_ahead(folder, manifest,
batch_size)`, which is called before any clock starts and returns facts about the build.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class MissingRuntime(Exception):
    """The runtime is not installed; the second argument is the command that installs it."""


class Unsupported(Exception):
    """The runtime cannot do what the job asks for."""


class Session:
    """An opened model. Only `run` is timed."""

    # Why the process's resident memory says nothing about this runtime; None: it does.
    memory_reason: str | None = None

    def reshape(self, batch_size: int) -> str | None:
        """Makes the next batches this size; returns why that is not possible, or None. Called before the first run."""
        raise NotImplementedError

    def prepare(self, batch: np.ndarray[Any, Any]) -> Any:
        """`(N, C, H, W)` float32 into the model's own layout and type."""
        raise NotImplementedError

    def run(self, prepared: Any) -> Any:
        """One inference."""
        raise NotImplementedError

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """What `run` returned, as `(N, K)` float32 logits."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What is worth knowing about how the model runs."""
        return {}

    def __call__(self, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """`(N, C, H, W)` float32 to `(N, K)` float32 logits."""
        return self.finish(self.run(self.prepare(batch)))
