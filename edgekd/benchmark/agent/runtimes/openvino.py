"""OpenVINO on the CPU: one stream, tuned for latency."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from . import MissingRuntime, Session


def version() -> str:
    """Imports the runtime."""
    return str(_runtime().get_version()).split("-")[0]


def open_model(folder: Path, manifest: dict[str, Any], threads: int, exact: bool) -> Session:
    """A model compiled for `threads` threads.

    A float32 artifact runs in float32 also where the plugin would prefer bf16 or fp16. With `exact` the low-precision
    transformations are off: FakeQuantize is computed as written, in float.
    """
    return OpenvinoSession(folder / manifest["entry"], manifest, threads, exact)


def _runtime() -> Any:
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingRuntime("openvino is not installed", "pip install openvino") from error


class OpenvinoSession(Session):
    """One compiled model and one request. The batch size is fixed when it is compiled, as a deployment would."""

    def __init__(self, path: Path, manifest: dict[str, Any], threads: int, exact: bool) -> None:
        self._core = _runtime().Core()
        self._model = self._core.read_model(str(path))
        self._dynamic = bool(self._model.inputs[0].partial_shape[0].is_dynamic)
        self._config: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        if exact or manifest["precision"] == "float32":
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        if exact:
            self._config["LP_TRANSFORMS_MODE"] = "NO"
        self._request: Any = None
        self._batch = 0 if self._dynamic else int(self._model.inputs[0].partial_shape[0].get_length())

    def reshape(self, batch_size: int) -> str | None:
        """Compiles the model for a batch size."""
        if self._request is not None and batch_size == self._batch:
            return None
        if self._dynamic:
            shape = self._model.inputs[0].partial_shape
            shape[0] = batch_size
            self._model.reshape(shape)
        elif batch_size != self._batch:
            return f"the file has a fixed batch size of {self._batch}"
        self._request = None
        self._request = self._core.compile_model(self._model, "CPU", self._config).create_infer_request()
        self._batch = batch_size
        return None

    def prepare(self, batch: np.ndarray[Any, Any]) -> Any:
        """The file's input is NCHW float32 as it comes."""
        return np.ascontiguousarray(batch)

    def run(self, prepared: Any) -> Any:
        """One synchronous inference on the caller's own memory."""
        return self._request.infer([prepared], share_inputs=True, share_outputs=True)

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """A copy of the first output: the request will overwrite its own."""
        return np.array(raw[0], np.float32)

    def facts(self) -> dict[str, Any]:
        """The precision that the plugin chose."""
        chosen = self._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
        return {"inference_precision": str(chosen.get_type_name() if hasattr(chosen, "get_type_name") else chosen)}
