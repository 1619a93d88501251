"""ONNX Runtime on the CPU, with its default spinning thread pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import Session, arrays, installed, too_long


def version() -> str:
    """Imports the runtime."""
    return str(_runtime().__version__)


def open_model(folder: Path, manifest: dict[str, Any], threads: int, exact: bool) -> Session:
    """A session with `threads` threads inside an operator and operators one after another.

    With `exact` all graph optimizations are off: QuantizeLinear and DequantizeLinear are computed as written, in float,
    instead of being fused into this CPU's integer kernels.
    """
    return OnnxSession(folder / manifest["entry"], manifest, threads, exact)


def _runtime() -> Any:
    return installed("onnxruntime", "pip install onnxruntime")


class OnnxSession(Session):
    """One `InferenceSession`."""

    def __init__(self, path: Path, manifest: dict[str, Any], threads: int, exact: bool) -> None:
        ort = _runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if exact:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # 3: errors only; a file that is made for another device warns about every unused initializer.
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._manifest = manifest
        self._inputs = [item["name"] for item in manifest["inputs"]]
        self._output = manifest["outputs"][0]["name"]
        first = self._session.get_inputs()[0].shape[0]
        self._fixed: int | None = first if isinstance(first, int) else None

    def reshape(self, batch_size: int, tokens: int | None = None, pinned: bool = False) -> str | None:
        """The batch is free unless the file fixes it, and so is the length of texts up to the model's own limit."""
        if self._fixed not in (None, batch_size):
            return f"the file has a fixed batch size of {self._fixed}"
        return too_long(self._manifest, tokens)

    def prepare(self, batch: Any) -> Any:
        """The file's inputs are NCHW float32, or token ids and mask, as they come."""
        return dict(zip(self._inputs, arrays(batch)))

    def run(self, prepared: Any) -> Any:
        """One `Run`."""
        return self._session.run([self._output], prepared)

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """The first output."""
        return np.asarray(raw[0], np.float32)
