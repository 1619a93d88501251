"""Counts what a runtime really executes in integers: a quantized file that runs in float is a defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekd.backends import need
from edgekd.errors import ExportError
from edgekd.export.onnx_file import onnx_module
from edgekd.isolated import isolated
from edgekd.scratch import scratch

# Operators that multiply: these decide the latency, and must be integers where the description says so.
HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

_INTEGER = {
    "QLinearConv": "Conv",
    "ConvInteger": "Conv",
    "QGemm": "Gemm",
    "QLinearMatMul": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "MatMulInteger": "MatMul",
    "QLinearAdd": "Add",
    "QLinearMul": "Mul",
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearConcat": "Concat",
    "QLinearSigmoid": "Sigmoid",
}
_FLOAT = {
    "Conv": "Conv",
    "FusedConv": "Conv",
    "ConvTranspose": "ConvTranspose",
    "Gemm": "Gemm",
    "FusedGemm": "Gemm",
    "MatMul": "MatMul",
    "FusedMatMul": "MatMul",
}


@dataclass(frozen=True)
class Kernels:
    """Operators by type, as executed.

    Attributes:
        integer: computed in 8-bit integers.
        floating: computed in float, of the operators that multiply.
    """

    integer: dict[str, int]
    floating: dict[str, int]

    def notes(self, seen_in: str) -> dict[str, Any]:
        """The facts for the manifest."""
        return {"integer_kernels": self.integer, "float_kernels": self.floating, "kernels_seen_in": seen_in}

    def in_float(self) -> Kernels:
        """The same operators, all of them in float."""
        return Kernels({}, dict(sorted((Counter(self.integer) + Counter(self.floating)).items())))

    def require(self, placed: Mapping[str, int], runtime: str) -> dict[str, int]:
        """Raises ExportError unless the multiplying operators run as placed.

        Args:
            placed: operator type to number of quantized operators.
            runtime: name for the message.

        Returns:
            Operator type to number of the other quantized operators that the runtime did not fuse.
        """
        missing = {kind: count - self.integer.get(kind, 0) for kind, count in placed.items()}
        missing = {kind: count for kind, count in missing.items() if count > 0}
        heavy = {kind: count for kind, count in missing.items() if kind in HEAVY}
        if heavy:
            raise ExportError(
                f"{runtime} runs quantized operators in float: the file would be no faster than the float one",
                received=", ".join(f"{count} {kind}" for kind, count in heavy.items()),
                accepted=f"integer kernels for {dict(placed)}; found {self.integer}",
                hint="keep those layers in float: compress: {keep_float: [...]}",
            )
        extra = {kind: self.integer.get(kind, 0) - placed.get(kind, 0) for kind in HEAVY}
        extra = {kind: count for kind, count in extra.items() if count > 0}
        if extra:
            raise ExportError(
                f"{runtime} runs operators in integers that the description keeps in float",
                received=", ".join(f"{count} {kind}" for kind, count in extra.items()),
                accepted=f"integer kernels for {dict(placed)}",
            )
        return missing


def onnxruntime_kernels(path: Path) -> Kernels:
    """What ONNX Runtime's CPU provider executes after all its graph optimizations."""
    return isolated("ONNX Runtime", _opened_in_onnxruntime, path)


def _opened_in_onnxruntime(path: Path) -> Kernels:
    ort: Any = need("onnxruntime", extra="onnx")
    with scratch() as folder:
        optimized = folder / "optimized.onnx"
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(optimized)
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        model = onnx_module().load(str(optimized), load_external_data=False)
    return count_onnx(model)


def count_onnx(model: Any) -> Kernels:
    """Integer and float operators of an optimized ONNX graph."""
    types = [str(node.op_type) for node in model.graph.node]
    return Kernels(
        integer=_count(_INTEGER[kind] for kind in types if kind in _INTEGER),
        floating=_count(_FLOAT[kind] for kind in types if kind in _FLOAT),
    )


# Layer types of OpenVINO's executed graph. A Gemm becomes a FullyConnected, and so does a MatMul with constant weights.
_OPENVINO = {"Convolution": "Conv", "Deconvolution": "ConvTranspose", "FullyConnected": "MatMul", "MatMul": "MatMul"}


def openvino_kernels(path: Path, config: Mapping[str, Any]) -> Kernels:
    """What OpenVINO's CPU plugin executes: `Gemm` counts as `MatMul`, additions are part of their convolution."""
    return isolated("OpenVINO", _compiled_by_openvino, path, config)


def _compiled_by_openvino(path: Path, config: Mapping[str, Any]) -> Kernels:
    ov: Any = need("openvino", extra="openvino")
    compiled = ov.Core().compile_model(str(path), "CPU", config)
    integer: list[str] = []
    floating: list[str] = []
    for layer in compiled.get_runtime_model().get_ordered_ops():
        facts = layer.get_rt_info()
        kind = _OPENVINO.get(str(facts["layerType"].astype(str)))
        if kind is not None:
            whole = str(facts["runtimePrecision"].astype(str)) in {"u8", "i8"}
            (integer if whole else floating).append(kind)
    return Kernels(integer=_count(integer), floating=_count(floating))


def _count(kinds: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items()))
