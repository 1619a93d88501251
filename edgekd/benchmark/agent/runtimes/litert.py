"""LiteRT (TensorFlow Lite) on the CPU, with XNNPACK as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import Session, installed, too_long


def version() -> str:
    """Imports the runtime."""
    _interpreter()
    from importlib import metadata

    return metadata.version("ai-edge-litert")


def open_model(folder: Path, manifest: dict[str, Any], threads: int, exact: bool) -> Session:
    """An interpreter with `threads` threads. With `exact` the built-in kernels run instead of XNNPACK's."""
    kind = TextSession if manifest["preprocess"].get("kind") == "text" else LitertSession
    return kind(folder / manifest["entry"], manifest, threads, exact)


def _interpreter() -> Any:
    return installed("ai_edge_litert.interpreter", "pip install ai-edge-litert")


def _open(path: Path, threads: int, exact: bool) -> Any:
    module = _interpreter()
    resolver = module.OpResolverType
    return module.Interpreter(
        model_path=str(path),
        num_threads=threads,
        experimental_op_resolver_type=resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES if exact else resolver.AUTO,
    )


class LitertSession(Session):
    """One interpreter. Integer inputs and outputs are converted with the file's own scale and zero point, untimed."""

    def __init__(self, path: Path, manifest: dict[str, Any], threads: int, exact: bool) -> None:
        self._interpreter = _open(path, threads, exact)
        self._interpreter.allocate_tensors()
        self._channels_last = manifest["inputs"][0].get("layout") == "NHWC"
        self._read_details()

    def _read_details(self) -> None:
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self._batch = int(self._input["shape"][0])

    def reshape(self, batch_size: int, tokens: int | None = None, pinned: bool = False) -> str | None:
        """Resizes the input, and checks that the graph follows: a constant Reshape inside it may not."""
        if batch_size == self._batch:
            return None
        old = self._batch
        probe = np.random.default_rng(0).standard_normal((batch_size, *self._nchw()), np.float32)
        alone = np.concatenate([self._alone(row) for row in probe[[0, -1]]])
        try:
            self._resize(batch_size)
            together = self(probe)
            follows = together.shape == (batch_size, alone.shape[1])
            # One quantization step of the output is rounding; a graph that mixes samples is far beyond.
            step = float(self._output["quantization"][0] or 0.0)
            follows = follows and np.allclose(together[[0, -1]], alone, rtol=1e-3, atol=max(1e-4, 1.5 * step))
        except (RuntimeError, ValueError) as error:
            self._resize(old)
            return f"the file does not resize to batches of {batch_size}: {str(error).splitlines()[0]}"
        if not follows:
            self._resize(old)
            return f"the file does not compute batches of {batch_size} correctly when resized"
        return None

    def _alone(self, row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        # The present batch may be larger than one: repeat the row to fill it.
        return self(np.repeat(row[None], self._batch, axis=0))[:1]

    def _nchw(self) -> tuple[int, ...]:
        shape = [int(size) for size in self._input["shape"][1:]]
        return (shape[2], shape[0], shape[1]) if self._channels_last else tuple(shape)

    def _resize(self, batch_size: int) -> None:
        self._interpreter.resize_tensor_input(self._input["index"], [batch_size, *self._input["shape"][1:]])
        self._interpreter.allocate_tensors()
        self._read_details()

    def prepare(self, batch: np.ndarray[Any, Any]) -> Any:
        """NHWC where the file says so, and quantized where its input is an integer."""
        value: np.ndarray[Any, Any] = batch.transpose(0, 2, 3, 1) if self._channels_last else batch
        dtype = self._input["dtype"]
        if np.issubdtype(dtype, np.integer):
            scale, zero_point = (float(number) for number in self._input["quantization"])
            limits = np.iinfo(dtype)
            value = np.clip(np.round(value / scale) + zero_point, limits.min, limits.max)
        return np.ascontiguousarray(value, dtype)

    def run(self, prepared: Any) -> Any:
        """Hands the input over, invokes, and takes the output."""
        self._interpreter.set_tensor(self._input["index"], prepared)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """Dequantized where the output is an integer."""
        if np.issubdtype(raw.dtype, np.integer):
            scale, zero_point = self._output["quantization"]
            return (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
        return np.asarray(raw, np.float32)

    def facts(self) -> dict[str, Any]:
        """Types at the border of the file: integers mean that the conversion is the caller's, and untimed."""
        return {
            "input_dtype": np.dtype(self._input["dtype"]).name,
            "output_dtype": np.dtype(self._output["dtype"]).name,
        }


class TextSession(Session):
    """One interpreter with a signature per sequence length; a text is padded to the next one. The batch is 1."""

    def __init__(self, path: Path, manifest: dict[str, Any], threads: int, exact: bool) -> None:
        self._interpreter = _open(path, threads, exact)
        self._manifest = manifest
        self._names = [item["name"] for item in manifest["inputs"]]
        self._pad = int(manifest["preprocess"]["pad_id"])
        self._lengths = sorted(int(length) for length in manifest["notes"]["sequence_lengths"])
        self._runners: dict[int, Any] = {}

    def reshape(self, batch_size: int, tokens: int | None = None, pinned: bool = False) -> str | None:
        """The batch is fixed; every length up to the longest is padded to one that the file has."""
        if batch_size != 1:
            return "the file has a fixed batch size of 1"
        return too_long(self._manifest, tokens)

    def prepare(self, batch: Any) -> Any:
        """INT32, padded to the next length, with that length's signature."""
        size = batch[0].shape[1]
        length = next(length for length in self._lengths if length >= size)
        if length not in self._runners:
            self._runners[length] = self._interpreter.get_signature_runner(f"tokens_{length}")
        fill = dict(zip(self._names, (self._pad, 0)))
        padded = {
            name: np.pad(array, ((0, 0), (0, length - size)), constant_values=fill[name]).astype(np.int32)
            for name, array in zip(self._names, batch)
        }
        return self._runners[length], padded

    def run(self, prepared: Any) -> Any:
        """Hands the inputs over, invokes, and takes the outputs."""
        runner, inputs = prepared
        return runner(**inputs)

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """The one output."""
        (value,) = raw.values()
        return np.asarray(value, np.float32)

    def facts(self) -> dict[str, Any]:
        """Types at the border of the file, and the lengths that were used."""
        return {"input_dtype": "int32", "output_dtype": "float32", "sequence_lengths": sorted(self._runners)}
