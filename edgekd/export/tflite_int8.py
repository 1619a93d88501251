"""Hands the description's ranges to ai-edge-quantizer, which places them as LiteRT's kernels want them.

Its static recipe gives INT8 weights per output channel, asymmetric INT8 activations and INT32 biases. In place of its
own calibration it is given one (min, max) per tensor of the float file, bound to the description by value. Operators
that the description keeps in float are excluded one by one; inputs and outputs of the file are INT8.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekd.backends import need
from edgekd.compress.operators import CLIPPING, WEIGHTED
from edgekd.compress.tensors import as_numpy
from edgekd.errors import ExportError
from edgekd.export.bind import Binding, bind
from edgekd.export.kernels import Kernels
from edgekd.export.silence import silenced
from edgekd.export.tflite_file import HEAVY, PASSES, Operator, TfliteGraph, fingerprints, read_tflite
from edgekd.export.tflite_norms import unfolded_tflite

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program

# The converter folds constants into a layer's bias (the `+ 3` of a hard sigmoid), and then its result is no tensor of
# the network. That happens to the small layers of squeeze-and-excitation, a sixth of MobileNetV3's; more is a defect.
LOST_SHARE = 0.25


@dataclass(frozen=True)
class Choice:
    """Which operators of the float file become integers.

    Attributes:
        integer: positions in `graph.operators`.
        left: layer, or number and type of operators, to the reason why they are float without the description's word.
    """

    integer: set[int]
    left: dict[str, str]


def int8_tflite(program: Program, description: Description) -> tuple[bytes, Choice]:
    """The full-integer file, and what stayed in float.

    Raises:
        ExportError: a quantized operator's tensor has no counterpart in the description, or the quantizer refuses.
    """
    content = unfolded_tflite(program)
    graph = read_tflite(content)
    images = as_numpy(program.example[0]).transpose(0, 2, 3, 1)  # (N, H, W, C)
    samples = ([np.ascontiguousarray(images[i : i + 1], dtype=np.float32)] for i in range(len(images)))
    seen = program.once("tflite_fingerprints", lambda: fingerprints(content, graph, samples))
    binding = bind(seen, graph.steps(), description)
    choice = choose(graph, binding, program, description)
    for position in sorted(choice.integer):
        item = graph.operators[position]
        touched = [graph.names[i] for i in (*item.inputs, *item.outputs) if i >= 0 and i not in graph.constants]
        binding.require([name for name in touched if name in seen], where=f"{item.kind} {item.names[0]}")
    return _quantize(content, graph, choice, binding, description), choice


def choose(graph: TfliteGraph, binding: Binding, program: Program, description: Description) -> Choice:
    """Maps the description's operators to the file's, through what the converter fused and inserted."""
    quantized = set(description.quantized)
    layers = program.layers()
    absorbed = _absorbed(program)
    integer: set[int] = set()
    partial: Counter[str] = Counter()
    placed: set[str] = set()
    for position, item in enumerate(graph.operators):
        if item.kind in PASSES or not item.outputs or graph.dtypes[item.outputs[0]] != "float32":
            continue
        names = [name for name in binding.names.get(item.names[0], []) if name in layers]
        chosen = [name for name in names if name in quantized]
        if chosen:
            integer.add(position)
            placed.update(chosen, *(absorbed[name] for name in chosen))
        elif not names:
            partial[item.kind] += 1
    left = {
        f"{count} {kind}": "computes no tensor of the network, but a part of one of its operators"
        for kind, count in sorted(partial.items())
    }
    operators = program.operators()
    wanted = [name for name in description.quantized if operators.get(name) in WEIGHTED]
    lost = [name for name in wanted if name not in placed]
    if len(lost) > LOST_SHARE * len(wanted):
        raise ExportError(
            "layers that the quantization description makes integers are not in the TFLite file",
            received=", ".join(layers[name] for name in lost[:8]),
            hint="keep them in float: compress: {keep_float: [...]}",
        )
    left |= {
        layers[name]: "the converter merged it with the operator after it, whose range is unknown" for name in lost
    }
    return Choice(integer=integer | _passing(graph, integer, binding), left=left)


def _absorbed(program: Program) -> dict[str, set[str]]:
    """For every operator, the ones before it that a converter fuses with it: a convolution with its activation."""
    operators = program.operators()
    before: dict[str, set[str]] = {}
    for node in program.module.graph.nodes:
        sources = [item.name for item in node.all_input_nodes] if operators.get(node.name) in CLIPPING else []
        before[node.name] = {name for source in sources for name in (source, *before.get(source, set()))}
    return before


def _passing(graph: TfliteGraph, integer: set[int], binding: Binding) -> set[int]:
    """Positions of the value-passing operators beside integer ones, or at the file's input."""
    touching = {i for position in integer for i in graph.operators[position].outputs} | set(graph.inputs)
    found: set[int] = set()
    for position, item in enumerate(graph.operators):
        if item.kind in PASSES and item.inputs[0] in touching and item.names[0] in binding.ranges:
            found.add(position)
            touching.update(item.outputs)
    wanted = {i for position in integer for i in graph.operators[position].inputs}
    for position, item in reversed(list(enumerate(graph.operators))):
        if item.kind in PASSES and wanted.intersection(item.outputs) and item.names[0] in binding.ranges:
            found.add(position)
            wanted.update(item.inputs)
    return found


def _quantize(content: bytes, graph: TfliteGraph, choice: Choice, binding: Binding, description: Description) -> bytes:
    def configure(quantizer: Any, types: Any) -> None:
        quantizer.add_static_config(
            regex=".*",
            operation_name=types.TFLOperationName.ALL_SUPPORTED,
            activation_num_bits=8,
            weight_num_bits=8,
            weight_granularity=granularity(types, description),
        )
        utilities: Any = need("ai_edge_quantizer.utils.tfl_flatbuffer_utils", extra="litert")
        schema: Any = need("ai_edge_litert.schema_py_generated", extra="litert")
        known = utilities.TFL_OP_CODE_TO_NAME
        for position, item in enumerate(graph.operators):
            code = getattr(schema.BuiltinOperator, item.kind, None)
            if position not in choice.integer and code in known:
                quantizer.update_quantization_recipe(
                    regex=scope(item),
                    operation_name=known[code],
                    algorithm_key=need("ai_edge_quantizer.quantizer", extra="litert").AlgorithmName.NO_QUANTIZE,
                )

    return run_quantizer(content, configure, calibration(graph, binding))


def run_quantizer(content: bytes, configure: Callable[[Any, Any], None], known: dict[str, Any] | None) -> bytes:
    """The quantized file.

    Args:
        content: the float file.
        configure: told the quantizer and its types, says what becomes integers.
        known: the calibration of static layers, see `calibration`; None without any.

    Raises:
        ExportError: the quantizer refuses.
    """
    with silenced("importing ai-edge-quantizer"):
        module: Any = need("ai_edge_quantizer.quantizer", extra="litert")
        types: Any = need("ai_edge_quantizer.qtyping", extra="litert")
    with silenced("quantizing the TFLite file", RuntimeError, ValueError, NotImplementedError, KeyError):
        quantizer = module.Quantizer(content)
        configure(quantizer, types)
        result = quantizer.quantize(calibration_result=known, enable_progress_bar=False, enable_progress_report=False)
        return bytes(result.quantized_model)


def granularity(types: Any, description: Description) -> Any:
    """One weight scale per output channel, or one per layer."""
    return types.QuantGranularity.CHANNELWISE if description.per_channel else types.QuantGranularity.TENSORWISE


def scope(item: Operator) -> str:
    """The quantizer's name for one operator: its outputs' names, each closed by a semicolon."""
    return "^" + re.escape(";".join(item.names) + ";") + "$"


def calibration(graph: TfliteGraph, binding: Binding) -> dict[str, dict[str, NDArray[Any]]]:
    """(min, max) per tensor as the quantizer's own calibration gives them: arrays of the tensor's rank, all axes 1.

    Logits get the whole range seen: two classes clipped to one value would tie.
    """
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for index, name in enumerate(graph.names):
        if name not in binding.ranges:
            continue
        item = binding.ranges[name]
        low, high = (item.minimum, item.maximum) if index in graph.outputs else (item.low, item.high)
        ones = [1] * len(graph.shapes[index])
        found[name] = {
            "min": np.full(ones, min(low, 0.0), np.float32),
            "max": np.full(ones, max(high, 0.0), np.float32),
        }
    return found


_ONNX_NAMES = {
    "CONV_2D": "Conv",
    "DEPTHWISE_CONV_2D": "Conv",
    "CONV_3D": "Conv",
    "TRANSPOSE_CONV": "ConvTranspose",
    "FULLY_CONNECTED": "Gemm",
    "BATCH_MATMUL": "MatMul",
    "ADD": "Add",
    "MUL": "Mul",
    "MEAN": "Mean",
    "AVERAGE_POOL_2D": "AveragePool",
    "CONCATENATION": "Concat",
    "LOGISTIC": "Sigmoid",
}


def tflite_kernels(graph: TfliteGraph) -> Kernels:
    """Operators of a file by the type of what they write: LiteRT executes exactly what the file says."""
    integer: Counter[str] = Counter()
    floating: Counter[str] = Counter()
    for item in graph.operators:
        name = _ONNX_NAMES.get(item.kind)
        if name is None or not item.outputs:
            continue
        # With INT8 weights alone, this kernel quantizes its input while it runs.
        is_hybrid = item.kind == "FULLY_CONNECTED" and graph.dtypes[item.inputs[1]] == "int8"
        if graph.dtypes[item.outputs[0]] == "int8" or is_hybrid:
            integer[name] += 1
        elif item.kind in HEAVY:
            floating[name] += 1
    return Kernels(integer=dict(sorted(integer.items())), floating=dict(sorted(floating.items())))


def placed_counts(graph: TfliteGraph, choice: Choice) -> Mapping[str, int]:
    """What `tflite_kernels` must find of the multiplying operators."""
    kinds = [graph.operators[position].kind for position in choice.integer]
    return Counter(_ONNX_NAMES[kind] for kind in kinds if kind in HEAVY)
