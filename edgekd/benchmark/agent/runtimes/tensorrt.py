"""TensorRT 10 or newer: the engine is built on the device it runs on, once per batch size and length of texts, and kept
in a cache.

Engines are portable neither between devices nor between versions, so the artifact is ONNX with explicit
QuantizeLinear/DequantizeLinear. The network is strongly typed: every type is the file's own, on TensorRT 10 (where weak
typing is still the default) as on 11 (where it is gone).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import MissingRuntime, Session, Unsupported, arrays, installed, too_long

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
WORKSPACE_BYTES = 1 << 30


def version() -> str:
    """Imports the runtime.

    Raises:
        Unsupported: TensorRT older than 10, whose Python interface is another one.
    """
    found = str(_runtime().__version__)
    if int(found.split(".", maxsplit=1)[0]) < 10:
        raise Unsupported(f"TensorRT {found} is too old; 10 or newer is needed (JetPack 6 or newer)")
    return found


def open_model(folder: Path, manifest: dict[str, Any], threads: int, exact: bool) -> Session:
    """A session on the first GPU; `threads` does not apply to it."""
    if exact:
        raise Unsupported("TensorRT has no unfused reference arithmetic; check the same ONNX file with onnxruntime")
    return TensorrtSession(folder / manifest["entry"], manifest)


def build_ahead(folder: Path, manifest: dict[str, Any], batch_size: int, tokens: int | None) -> dict[str, Any]:
    """Builds the engine unless it is in the cache."""
    start = time.perf_counter()
    path, built = _engine(folder / manifest["entry"], manifest, batch_size, tokens)
    return {"engine_bytes": path.stat().st_size, "engine_build_s": time.perf_counter() - start if built else None}


def _runtime() -> Any:
    return installed("tensorrt", "sudo apt-get install python3-libnvinfer  (part of JetPack on a Jetson)")


def cache_folder() -> Path:
    """Where engines are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgekd" / "engines"


def _engine(model: Path, manifest: dict[str, Any], batch_size: int, tokens: int | None) -> tuple[Path, bool]:
    trt = _runtime()
    identity = f"{manifest['files'][manifest['entry']]['sha256']} {trt.__version__} {_Cuda().name()} {batch_size}"
    limit = manifest["preprocess"].get("max_length")
    # Smallest, tuned and largest number of tokens: of a text network that is not built for one length.
    lengths = (1, min(32, limit), limit) if tokens is None and limit is not None else (tokens, tokens, tokens)
    if limit is not None:
        identity += f" {lengths}"
    path = cache_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.engine"
    if path.is_file():
        return path, False
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(_build(trt, model, batch_size, lengths))
    Path(stream.name).replace(path)
    return path, True


def _build(trt: Any, model: Path, batch_size: int, lengths: tuple[Any, ...]) -> bytes:
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise Unsupported(f"TensorRT {trt.__version__} cannot read {model.name}: {reasons}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        shapes = [(batch_size, *(length if size == -1 else size for size in rest)) for length in lengths]
        profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise Unsupported(f"TensorRT {trt.__version__} cannot build an engine from {model.name}; stderr says why")
    return bytes(plan)


class TensorrtSession(Session):
    """One engine and execution context, one stream, one buffer on the GPU per tensor."""

    memory_reason = "TensorRT keeps weights and activations in GPU memory, outside the process's resident memory"

    def __init__(self, model: Path, manifest: dict[str, Any]) -> None:
        self._model, self._manifest = model, manifest
        self._cuda = _Cuda()
        self._stream = self._cuda.stream()
        self._buffers: list[int] = []

    def reshape(self, batch_size: int, tokens: int | None = None, pinned: bool = False) -> str | None:
        """Loads the engine of this batch size and length, building it when it is missing."""
        trt = _runtime()
        fixed = self._manifest["inputs"][0]["shape"][0]
        if fixed not in (None, batch_size):
            return f"the file has a fixed batch size of {fixed}"
        reason = too_long(self._manifest, tokens)
        if reason is not None:
            return reason
        path, _ = _engine(self._model, self._manifest, batch_size, tokens)
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise Unsupported(f"TensorRT {trt.__version__} cannot load its own engine {path}; delete it and run again")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._inputs = [item["name"] for item in self._manifest["inputs"]]
        self._output = next(n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.OUTPUT)
        self._types = {name: trt.nptype(self._engine.get_tensor_dtype(name)) for name in names}
        self._allocate([(batch_size, *tuple(self._engine.get_tensor_shape(name))[1:]) for name in self._inputs], tokens)
        return None

    def _allocate(self, shapes: list[tuple[int, ...]], tokens: int | None) -> None:
        """Buffers for inputs of these shapes, with `tokens` for a free length; none yet while the length is unknown."""
        self._cuda.free(self._buffers)
        self._buffers: list[int] = []
        self._shapes = [tuple(tokens if size == -1 and tokens else size for size in shape) for shape in shapes]
        if any(-1 in shape for shape in self._shapes):
            return
        for name, shape in zip(self._inputs, self._shapes):
            self._context.set_input_shape(name, shape)
        self._host = np.zeros(tuple(self._context.get_tensor_shape(self._output)), self._types[self._output])
        for name, shape in zip((*self._inputs, self._output), (*self._shapes, self._host.shape)):
            self._buffers.append(self._cuda.malloc(int(np.prod(shape)) * np.dtype(self._types[name]).itemsize))
            self._context.set_tensor_address(name, self._buffers[-1])

    def prepare(self, batch: Any) -> Any:
        """Contiguous, in the engine's input types."""
        given = zip(self._inputs, arrays(batch))
        return [np.ascontiguousarray(array, self._types[name]) for name, array in given]

    def run(self, prepared: Any) -> Any:
        """Copies in, executes, copies out and waits for the stream."""
        shapes = [array.shape for array in prepared]
        if shapes != self._shapes:
            self._allocate(shapes, None)
        for buffer, array in zip(self._buffers, prepared):
            self._cuda.copy(buffer, array.ctypes.data, array.nbytes, HOST_TO_DEVICE, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise RuntimeError("TensorRT could not start the inference; see its messages on stderr")
        out = self._host
        self._cuda.copy(out.ctypes.data, self._buffers[-1], out.nbytes, DEVICE_TO_HOST, self._stream)
        self._cuda.synchronize(self._stream)
        return out

    def finish(self, raw: Any) -> np.ndarray[Any, Any]:
        """A copy: the next run overwrites the buffer."""
        return np.array(raw, np.float32)

    def facts(self) -> dict[str, Any]:
        """The device, and GPU memory as the driver counts it, other processes included."""
        free, total = self._cuda.memory()
        return {"gpu": self._cuda.name(), "gpu_memory_used_bytes": total - free, "gpu_memory_total_bytes": total}


class _Cuda:
    """The eight functions of the CUDA runtime that are needed, through ctypes."""

    def __init__(self) -> None:
        for name in ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "/usr/local/cuda/lib64/libcudart.so"):
            try:
                self._library = ctypes.CDLL(name)
                return
            except OSError:
                continue
        raise MissingRuntime("the CUDA runtime (libcudart.so) is not installed", "sudo apt-get install nvidia-jetpack")

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            self._library.cudaGetErrorString.restype = ctypes.c_char_p
            raise RuntimeError(f"{name}: {self._library.cudaGetErrorString(code).decode()}")

    def name(self) -> str:
        """The GPU's name, from the first bytes of cudaDeviceProp, where it has stood in every version."""
        # The structure has about 1 KiB and grows with every version of CUDA; only its first field is read.
        properties = ctypes.create_string_buffer(16384)
        self._call("cudaGetDeviceProperties", properties, 0)
        return properties.value.decode(errors="replace")

    def memory(self) -> tuple[int, int]:
        """Free and total bytes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def malloc(self, size: int) -> int:
        """A buffer's address on the device."""
        pointer = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(size))
        return pointer.value or 0

    def free(self, pointers: list[int]) -> None:
        """Gives buffers back."""
        for pointer in pointers:
            self._call("cudaFree", ctypes.c_void_p(pointer))

    def stream(self) -> int:
        """A new stream's handle."""
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(handle))
        return handle.value or 0

    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        """Starts a copy; the host's memory is pageable, so the driver stages it."""
        target_pointer, source_pointer = ctypes.c_void_p(target), ctypes.c_void_p(source)
        self._call(
            "cudaMemcpyAsync", target_pointer, source_pointer, ctypes.c_size_t(size), kind, ctypes.c_void_p(stream)
        )

    def synchronize(self, stream: int) -> None:
        """Waits for everything in the stream."""
        self._call("cudaStreamSynchronize", ctypes.c_void_p(stream))
