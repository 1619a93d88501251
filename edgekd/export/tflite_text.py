"""TFLite files of text networks: one signature per sequence length, `tokens_16`, `tokens_32`, ..., over shared weights.

XNNPACK takes a graph only whose shapes are fixed, so a text is padded to the next length that the file has: powers of
two, at most twice the work of the text itself, and the longest text. The batch is 1.

All signatures have the same operators in the same order. The description is bound by value to a scratch graph of the
probe batch's own length, where no padding disturbs the values, and carried over by position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.backends import need
from edgekd.compress.tensors import as_numpy
from edgekd.errors import ExportError
from edgekd.export.bind import Binding, bind
from edgekd.export.silence import silenced
from edgekd.export.tflite_file import (
    OUTPUT,
    TfliteGraph,
    as_bytes,
    fingerprints,
    flatbuffer_tools,
    object_form,
    read_tflite,
)
from edgekd.export.tflite_int8 import LOST_SHARE, Choice, calibration, choose, granularity, run_quantizer, scope
from edgekd.export.tflite_norms import unfold_norms

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program

SHORTEST = 16
MERGED = "the converter merged it with the normalisation before it, whose range is unknown"
FOLDED = "its rows are constants of a fixed length"


class TokenInputs(nn.Module):
    """A program with INT32 inputs, as devices give them."""

    def __init__(self, module: nn.Module) -> None:
        """Wraps `module`, which takes INT64 token ids and mask."""
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """The names of arguments and key become the signatures'."""
        return {OUTPUT: self.module(input_ids.to(torch.int64), attention_mask.to(torch.int64))}


def lengths(max_tokens: int) -> list[int]:
    """Sequence lengths of a file: powers of two from 16, and the longest text."""
    found = [SHORTEST << power for power in range(max_tokens.bit_length()) if SHORTEST << power < max_tokens]
    return [*found, max_tokens]


def signature(length: int) -> str:
    """Name of the signature for texts of at most `length` tokens."""
    return f"tokens_{length}"


def float_text(program: Program) -> bytes:
    """The float file with all its signatures.

    Raises:
        ExportError: the network has an operator that TFLite cannot express.
    """
    return program.once("float_tflite", lambda: _convert(program, lengths(program.max_tokens or 0)))


def _convert(program: Program, sizes: list[int]) -> bytes:
    with silenced("importing litert-torch"):
        converter: Any = need("litert_torch", extra="litert")
    module = TokenInputs(program.module).eval()
    failures = RuntimeError, ValueError, TypeError, NotImplementedError
    with silenced("converting the network to TFLite", *failures), torch.no_grad():
        for size in sizes:
            # Two tensors: one for both would be captured as one input.
            inputs = {name: torch.ones(1, size, dtype=torch.int32) for name in program.names}
            converter = converter.signature(signature(size), module, sample_kwargs=inputs)
        return _tidy(as_bytes(converter.convert()), program)


def _tidy(content: bytes, program: Program) -> bytes:
    """Tensors are named after signature and position: unique in the file, where the converter's names repeat."""
    model = object_form(content)
    unfold_norms(model, program)
    for item in model.signatureDefs:
        for position, tensor in enumerate(model.subgraphs[item.subgraphIndex].tensors):
            tensor.name = f"{item.signatureKey.decode()}/{position}".encode()
    return bytes(flatbuffer_tools().convert_object_to_bytearray(model))


def read_signatures(content: bytes) -> dict[str, TfliteGraph]:
    """The graph of every signature."""
    model = object_form(content)
    return {item.signatureKey.decode(): read_tflite(content, int(item.subgraphIndex)) for item in model.signatureDefs}


def input_order(content: bytes, key: str) -> list[str]:
    """Names of a signature's inputs in the order of its graph's."""
    model = object_form(content)
    item = next(item for item in model.signatureDefs if item.signatureKey.decode() == key)
    names = {int(entry.tensorIndex): entry.name.decode() for entry in item.inputs}
    return [names[int(index)] for index in model.subgraphs[item.subgraphIndex].inputs]


def int8_text(program: Program, description: Description) -> tuple[bytes, Choice]:
    """The file with INT8 weights and tables, and what stayed in float.

    Inputs are INT32 and the output is float32; static layers have INT8 inputs and outputs between them.

    Raises:
        ExportError: a quantized operator's tensor has no counterpart in the description, or the quantizer refuses.
    """
    content = float_text(program)
    length = int(program.example[0].shape[1])
    scratch = program.once("tflite_scratch", lambda: _convert(program, [length]))
    graph = read_tflite(scratch)
    order = input_order(scratch, signature(length))
    seen = program.once("tflite_fingerprints", lambda: fingerprints(scratch, graph, _samples(program, order)))
    binding = bind(seen, graph.steps(), description)
    choice = choose(graph, binding, program, description)
    layers = {position for position in choice.integer if graph.operators[position].kind == "FULLY_CONNECTED"}
    left: dict[str, str] = {}
    for position in [] if description.dynamic else sorted(layers):
        item = graph.operators[position]
        if graph.names[item.inputs[0]] not in binding.ranges:
            left[description.layers[binding.names[item.names[0]][0]]] = MERGED
            layers.remove(position)
    if len(left) > LOST_SHARE * (len(left) + len(layers)):
        raise ExportError(
            "the TFLite file's layers read values that are not in the quantization description",
            received=", ".join([*left][:8]),
            hint="keep them in float: compress: {keep_float: [...]}, or compress: {method: int8_dynamic}",
        )
    tables = {
        position
        for position, item in enumerate(graph.operators)
        if item.kind == "EMBEDDING_LOOKUP" and set(description.embeddings) & set(binding.names.get(item.names[0], []))
    }
    placed = {name for position in tables for name in binding.names[graph.operators[position].names[0]]}
    left |= {description.layers[name]: FOLDED for name in description.embeddings if name not in placed}
    signatures = read_signatures(content)
    for key, other in signatures.items():
        if [item.kind for item in other.operators] != [item.kind for item in graph.operators]:
            raise ExportError("the converter wrote other operators for another sequence length", where=key)
    chosen = Choice(integer=layers, left={**choice.left, **left})
    return _quantize(content, graph, list(signatures.values()), chosen, tables, binding, description), chosen


def _samples(program: Program, order: list[str]) -> Iterator[list[NDArray[Any]]]:
    for index in range(len(program.example[0])):
        given = dict(zip(program.names, program.sample(index), strict=True))
        yield [np.ascontiguousarray(as_numpy(given[name]), np.int32) for name in order]


def _quantize(
    content: bytes,
    scratch: TfliteGraph,
    graphs: list[TfliteGraph],
    choice: Choice,
    tables: set[int],
    binding: Binding,
    description: Description,
) -> bytes:
    def configure(quantizer: Any, types: Any) -> None:
        names, weights = types.TFLOperationName, granularity(types, description)
        for graph in graphs:
            for position in sorted(tables):
                where = scope(graph.operators[position])
                quantizer.add_dynamic_config(where, names.EMBEDDING_LOOKUP, 8, types.QuantGranularity.CHANNELWISE)
            for position in sorted(choice.integer):
                where = scope(graph.operators[position])
                # Eight bits would only round the logits: the last layer's result stays in float.
                if description.dynamic or graph.operators[position].outputs[0] in graph.outputs:
                    quantizer.add_dynamic_config(where, names.FULLY_CONNECTED, 8, weights)
                else:
                    quantizer.add_static_config(where, names.FULLY_CONNECTED, 8, 8, weight_granularity=weights)

    known: dict[str, Any] = {}
    for graph in [] if description.dynamic else graphs:
        known |= calibration(graph, _carried(binding, scratch, graph))
    return run_quantizer(content, configure, None if description.dynamic else known)


def _carried(binding: Binding, scratch: TfliteGraph, graph: TfliteGraph) -> Binding:
    """The ranges of the scratch graph's tensors for those of another length."""
    same = {
        scratch.names[i]: graph.names[j]
        for ours, theirs in zip(scratch.operators, graph.operators, strict=True)
        for i, j in zip(ours.outputs, theirs.outputs, strict=True)
    }
    return Binding(ranges={same[name]: item for name, item in binding.ranges.items() if name in same})
