"""Reading, checking and writing ONNX files so that the same graph always gives the same bytes."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

from edgekd.artifact import Tensor
from edgekd.backends import need
from edgekd.errors import ExportError
from edgekd.export.format import Exported

# A protobuf message ends at 2 GiB; the margin is for what the file holds besides weights.
SINGLE_FILE_BYTES = 2_000_000_000
LAYOUTS = {"input": "NCHW"}


def onnx_module() -> Any:
    """The `onnx` package, or how to install it."""
    return need("onnx", extra="onnx")


def check_onnx(model: Any, where: object) -> None:
    """Raises ExportError unless the model passes ONNX's own checker."""
    onnx = onnx_module()
    try:
        onnx.checker.check_model(model, full_check=model.ByteSize() < SINGLE_FILE_BYTES)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ExportError("the ONNX model is not valid", where=where, received=first) from error


def save_onnx(model: Any, path: Path) -> None:
    """Writes one file, byte for byte the same for the same graph; checks what was written.

    Raises:
        ExportError: the model is not valid, or too large for one file.
    """
    if model.ByteSize() > SINGLE_FILE_BYTES:
        raise ExportError(
            "the network is too large for one ONNX file",
            received=f"{model.ByteSize()} bytes",
            accepted=f"at most {SINGLE_FILE_BYTES} bytes",
        )
    strip(model)
    check_onnx(model, path.name)
    path.write_bytes(model.SerializeToString(deterministic=True))


def sort_nodes(model: Any) -> None:
    """Orders the nodes so that each follows what it reads; among the ready ones, the earliest listed goes first."""
    graph = model.graph
    nodes = list(graph.node)
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    waits = [{makers[name] for name in node.input if name in makers} for node in nodes]
    readers: dict[int, list[int]] = {}
    for index, needed in enumerate(waits):
        for maker in needed:
            readers.setdefault(maker, []).append(index)
    ready = [index for index, needed in enumerate(waits) if not needed]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers.get(index, []):
            waits[reader].discard(index)
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(order) != len(nodes):
        stuck = [nodes[index].name for index, needed in enumerate(waits) if needed]
        raise ExportError("the ONNX graph has a cycle", received=", ".join(stuck[:8]))
    del graph.node[:]
    graph.node.extend(nodes[index] for index in order)


def strip(model: Any) -> None:
    """Removes doc strings and metadata: stack traces there hold the exporting host's paths."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def drop_unused(model: Any) -> None:
    """Removes initializers that no node reads."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [item for item in model.graph.initializer if item.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def drop_unread(model: Any) -> None:
    """Removes nodes whose outputs nothing reads, and then unused initializers."""
    graph = model.graph
    read = {item.name for item in graph.output}
    for node in reversed(list(graph.node)):  # ordered: readers come after what they read
        if read.intersection(node.output):
            read.update(node.input)
        else:
            graph.node.remove(node)
    drop_unused(model)


def exported(model: Any, entry: str, notes: dict[str, Any]) -> Exported:
    """What a format wrote that made the file `entry` of an ONNX model."""
    inputs, outputs = signature(model)
    operators = sorted({str(node.op_type) for node in model.graph.node})
    return Exported(entry=entry, inputs=inputs, outputs=outputs, notes={**notes, "operators": operators})


def signature(model: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs as the manifest states them."""
    onnx = onnx_module()
    known = {item.name for item in model.graph.initializer}

    def describe(value: Any) -> Tensor:
        kind = value.type.tensor_type
        return Tensor(
            name=value.name,
            dtype=str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)),
            shape=[dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim],
            layout=LAYOUTS.get(value.name),
        )

    inputs = [describe(value) for value in model.graph.input if value.name not in known]
    return inputs, [describe(value) for value in model.graph.output]
