"""OpenVINO on the CPU: one stream, tuned for latency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import Session, arrays, installed, too_long


def version() -> str:
    """Imports the runtime."""
    return str(_runtime().get_version()).split("-")[0]


def open_model(folder: Path, manifest: dict[str, Any], threads: int, exact: bool) -> Session:
    """A model compiled for `threads` threads.

    A float32 artifact runs in float32 also where the plugin would prefer bf16 or fp16; the properties that a manifest
    notes under `compile` are the file's own. With `exact` the low-precision transformations are off: FakeQuantize is
    computed as written, in float, and so are products of INT8 weights whose activations would be quantized at run time.
    """
    return OpenvinoSession(folder / manifest["entry"], manifest, threads, exact)


def _runtime() -> Any:
    return installed("openvino", "pip install openvino")


class OpenvinoSession(Session):
    """One compiled model and one request."""

    def __init__(self, path: Path, manifest: dict[str, Any], threads: int, exact: bool) -> None:
        self._core = _runtime().Core()
        self._manifest = manifest
        self._model = self._core.read_model(str(path))
        self._shipped = [item.partial_shape for item in self._model.inputs]
        self._config: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            **manifest.get("notes", {}).get("compile", {}),
        }
        if exact or manifest["precision"] == "float32":
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        if exact:
            self._config["LP_TRANSFORMS_MODE"] = "NO"
            self._config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        self._exact = exact
        self._request: Any = None
        self._compiled: Any = None

    def reshape(self, batch_size: int, tokens: int | None = None, pinned: bool = False) -> str | None:
        """Compiles the model as it ships; `pinned`, for a batch size, and for one length of texts or for any."""
        reason = too_long(self._manifest, tokens)
        if reason is not None:
            return reason
        first = self._shipped[0][0]
        if first.is_static and first.get_length() != batch_size:
            return f"the file has a fixed batch size of {first.get_length()}"
        # At a free batch the plugin misreads FakeQuantize when the low-precision transformations are off.
        shapes = [self._pinned(shape, batch_size, tokens) for shape in self._shipped]
        shapes = shapes if pinned or self._exact else self._shipped
        if self._request is None or shapes != self._compiled:
            self._request = None
            self._model.reshape(dict(zip(self._model.inputs, shapes)))
            self._request = self._core.compile_model(self._model, "CPU", self._config).create_infer_request()
            self._compiled = shapes
        return None

    def _pinned(self, shape: Any, batch_size: int, tokens: int | None) -> Any:
        sizes = [batch_size, *list(shape)[1:]]
        if tokens is not None and self._manifest["preprocess"].get("kind") == "text":
            sizes[1] = tokens
        return type(shape)(sizes)

    def prepare(self, batch: Any) -> Any:
        """The file's inputs are NCHW float32, or token ids and mask, as they come."""
        return arrays(batch)

    def run(self, prepared: Any) -> Any:
        """One synchronous inference on the caller's own memory."""
        return self._request.infer(prepared, share_inputs=True, share_outputs=True)

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """A copy of the first output: the request will overwrite its own."""
        return np.array(raw[0], np.float32)

    def facts(self) -> dict[str, Any]:
        """The precision that the plugin chose."""
        chosen = self._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
        return {"inference_precision": str(chosen.get_type_name() if hasattr(chosen, "get_type_name") else chosen)}
