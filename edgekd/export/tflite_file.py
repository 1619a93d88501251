"""TFLite files: made from a program by litert-torch, and read as operators and tensors."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.backends import need
from edgekd.compress.moments import Fingerprint, Moments
from edgekd.errors import ExportError
from edgekd.export.bind import Step
from edgekd.export.silence import silenced
from edgekd.scratch import scratch

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

INPUT = "input"
OUTPUT = "logits"

# Operators that multiply by weights.
HEAVY = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_3D", "TRANSPOSE_CONV", "BATCH_MATMUL"}

# Operators whose output holds only values of their first input (PAD adds zeros; PADV2, before MAX_POOL, the lowest).
PASSES = {
    "EXPAND_DIMS",
    "MAX_POOL_2D",
    "PAD",
    "PADV2",
    "RESHAPE",
    "SLICE",
    "SPLIT",
    "SQUEEZE",
    "STRIDED_SLICE",
    "TRANSPOSE",
}


class ChannelsLast(nn.Module):
    """A program with its input in the layout of TFLite's kernels; its name is in the file's tensor names."""

    def __init__(self, module: nn.Module) -> None:
        """Wraps `module`, which takes `(B, C, H, W)`."""
        super().__init__()
        self.module = module

    def forward(self, input: Tensor) -> dict[str, Tensor]:
        """Logits of `(B, H, W, C)`; the names of argument and key become the file's."""
        return {OUTPUT: self.module(input.permute(0, 3, 1, 2))}


@dataclass(frozen=True)
class Operator:
    """One operator: its type, the indices of its tensors, and their names."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    names: list[str]


@dataclass(frozen=True)
class TfliteGraph:
    """One subgraph of a file.

    Attributes:
        operators: in order of execution.
        names: tensor names by index.
        dtypes: tensor types by index, as numpy spells them.
        shapes: tensor shapes by index.
        constants: indices of tensors with stored values.
        inputs: indices of the graph's inputs.
        outputs: indices of the graph's outputs.
    """

    operators: list[Operator]
    names: list[str]
    dtypes: list[str]
    shapes: list[list[int]]
    constants: set[int]
    inputs: list[int]
    outputs: list[int]

    def steps(self) -> list[Step]:
        """The operators as binding sees them."""
        return [
            Step(
                inputs=[self.names[i] for i in item.inputs if i >= 0 and i not in self.constants],
                outputs=[self.names[i] for i in item.outputs],
                passes=item.kind in PASSES,
            )
            for item in self.operators
        ]


def float_tflite(program: Program) -> bytes:
    """The float file: input `input` `(1, H, W, C)`, output `logits` `(1, K)`.

    The batch is 1: a free one would leave reshapes that XNNPACK does not take; the interpreter can resize it.

    Raises:
        ExportError: the network has an operator that TFLite cannot express.
    """
    return program.once("float_tflite", lambda: _convert(program))


def _convert(program: Program) -> bytes:
    with silenced("importing litert-torch"):
        litert: Any = need("litert_torch", extra="litert")

    sample = program.example[0][:1].permute(0, 2, 3, 1).contiguous()  # (1, H, W, C)
    with silenced("converting the network to TFLite", RuntimeError, ValueError, TypeError, NotImplementedError):
        with torch.no_grad():
            converted = litert.convert(ChannelsLast(program.module).eval(), sample_kwargs={INPUT: sample})
        return as_bytes(converted)


def as_bytes(converted: Any) -> bytes:
    """What a converted model writes."""
    with scratch() as folder:
        path = folder / "model.tflite"
        converted.export(str(path))
        return path.read_bytes()


def flatbuffer_tools() -> Any:
    """What reads and writes the object form of a file."""
    return need("ai_edge_litert.tools.flatbuffer_utils", extra="litert")


def object_form(content: bytes) -> Any:
    """A file as objects that can be changed."""
    return flatbuffer_tools().read_model_from_bytearray(bytearray(content))


def read_tflite(content: bytes, position: int = 0) -> TfliteGraph:
    """Operators and tensors of a file's main subgraph, or of the one at `position`.

    Raises:
        ExportError: the bytes are no TFLite file, or are cut off.
    """
    tools = flatbuffer_tools()
    if content[4:8] != b"TFL3":
        raise ExportError("the bytes are no TFLite file", received=repr(content[:8]), accepted="identifier TFL3")
    try:
        model = object_form(content)
        graph = model.subgraphs[position]
        codes: list[str] = [str(tools.opcode_to_name(model, index)) for index, _ in enumerate(model.operatorCodes)]
    except (ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise ExportError("the TFLite file is cut off or damaged", received=str(error)) from error
    names = [tensor.name.decode("utf-8") for tensor in graph.tensors]
    return TfliteGraph(
        operators=[
            Operator(
                kind=codes[int(item.opcodeIndex)],
                inputs=[int(i) for i in item.inputs],
                outputs=[int(i) for i in item.outputs],
                names=[names[int(i)] for i in item.outputs],
            )
            for item in graph.operators
        ],
        names=names,
        dtypes=[str(tools.type_to_name(tensor.type)).lower() for tensor in graph.tensors],
        shapes=[[int(size) for size in tensor.shape] if tensor.shape is not None else [] for tensor in graph.tensors],
        constants={i for i, tensor in enumerate(graph.tensors) if model.buffers[tensor.buffer].data is not None},
        inputs=[int(i) for i in graph.inputs],
        outputs=[int(i) for i in graph.outputs],
    )


def fingerprints(content: bytes, graph: TfliteGraph, samples: Iterable[list[NDArray[Any]]]) -> dict[str, Fingerprint]:
    """Fingerprint of every float tensor that depends on an input, over `samples`: each the graph's inputs, in order."""
    runtime: Any = need("ai_edge_litert.interpreter", extra="litert")
    with silenced("running the float TFLite file", RuntimeError, ValueError):
        interpreter = runtime.Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            # Delegates keep intermediate tensors to themselves.
            experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        live = [i for item in graph.operators for i in item.outputs if graph.dtypes[i] == "float32"]
        live = [*(i for i in graph.inputs if graph.dtypes[i] == "float32"), *live]
        moments = {i: Moments() for i in live}
        for sample in samples:
            for i, value in zip(graph.inputs, sample, strict=True):
                interpreter.set_tensor(i, value)
            interpreter.invoke()
            for i in live:
                moments[i].add(interpreter.get_tensor(i))
    return {graph.names[i]: item.fingerprint() for i, item in moments.items()}
