"""Builds a TensorRT engine from the bundle's model.onnx, on the device that will run it.

    python3 build_engine.py                      # model.engine for batches of 1 to 8, tuned for 1
    python3 build_engine.py --batch 1 4 16       # smallest, tuned and largest batch
    python3 build_engine.py --tokens 1 32 128    # of a text network: shortest, tuned and longest text

Needs TensorRT 10 or 11 with its Python bindings (part of JetPack 6 and 7), and nothing else. The network is strongly
typed: precision is in the file, where it has explicit QuantizeLinear/DequantizeLinear pairs, and no precision flag is
set, because TensorRT 11 has none. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

WORKSPACE_MIB = 1024


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Builds a TensorRT engine from model.onnx on this device.")
    parser.add_argument("--onnx", type=Path, default=here / "model.onnx", help="the model (default: beside this file)")
    parser.add_argument("--engine", type=Path, default=here / "model.engine", help="where the engine goes")
    parser.add_argument(
        "--batch", type=int, nargs=3, default=[1, 1, 8], metavar=("MIN", "TUNED", "MAX"), help="batch sizes"
    )
    parser.add_argument(
        "--tokens", type=int, nargs=3, default=[1, 32, 128], metavar=("MIN", "TUNED", "MAX"), help="length of texts"
    )
    parser.add_argument("--workspace-mib", type=int, default=WORKSPACE_MIB, help="memory the builder may use")
    parser.add_argument("--verbose", action="store_true", help="show what the builder tries")
    found = parser.parse_args(argv)
    smallest, tuned, largest = found.batch
    if not 1 <= smallest <= tuned <= largest:
        parser.error(f"--batch needs 1 <= MIN <= TUNED <= MAX, got {smallest} {tuned} {largest}")
    shortest, usual, longest = found.tokens
    if not 1 <= shortest <= usual <= longest:
        parser.error(f"--tokens needs 1 <= MIN <= TUNED <= MAX, got {shortest} {usual} {longest}")
    if not found.onnx.is_file():
        parser.error(f"there is no {found.onnx}")
    return found


def load_tensorrt() -> Any:
    """The `tensorrt` module, version 10 or newer."""
    try:
        trt = importlib.import_module("tensorrt")
    except ModuleNotFoundError:
        sys.exit("tensorrt is not installed: sudo apt-get install python3-libnvinfer (part of JetPack on a Jetson)")
    if int(str(trt.__version__).split(".", maxsplit=1)[0]) < 10:
        sys.exit(f"TensorRT {trt.__version__} is too old: 10 or newer is needed (JetPack 6 or newer)")
    return trt


def build(trt: Any, options: argparse.Namespace) -> bytes:
    """The serialized engine, with one optimization profile for the free batch and length."""
    logger = trt.Logger(trt.Logger.VERBOSE if options.verbose else trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # Needed on 10, ignored on 11, where every network is strongly typed.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(options.onnx)):
        reasons = "\n".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        sys.exit(f"TensorRT {trt.__version__} cannot read {options.onnx}:\n{reasons}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        shapes = [
            (size, *[tokens if axis == -1 else axis for axis in rest])
            for size, tokens in zip(options.batch, options.tokens)
        ]
        profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        sys.exit(f"TensorRT {trt.__version__} cannot build an engine from {options.onnx}; its messages say why")
    return bytes(plan)


def main() -> None:
    """Builds, writes the engine in one step, and says what was made."""
    options = arguments()
    trt = load_tensorrt()
    start = time.perf_counter()
    plan = build(trt, options)
    seconds = time.perf_counter() - start
    partial = options.engine.with_name(options.engine.name + ".partial")
    partial.write_bytes(plan)
    partial.replace(options.engine)
    report = {
        "engine": str(options.engine),
        "engine_bytes": len(plan),
        "engine_sha256": hashlib.sha256(plan).hexdigest(),
        "onnx_sha256": hashlib.sha256(options.onnx.read_bytes()).hexdigest(),
        "tensorrt": str(trt.__version__),
        "batch_min_tuned_max": options.batch,
        "build_s": round(seconds, 3),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
