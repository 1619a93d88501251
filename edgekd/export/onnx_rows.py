"""A graph form of linear layers on tokens whose biases ONNX Runtime's CPU provider adds in the integer kernel.

    Add(MatMul(x, W), b)   x (B, T, K)     ->     Gemm(rows(x), W, b)   rows(x) (B T, K)

Of the first it makes an integer product and one more operator that adds the bias; of the second a `QGemm`, which holds
both. The tokens stay rows, `(B T, C)`, through everything that treats them one by one (activations, residual sums,
layer normalisation, quantizers), so that few reshapes are left: to the heads of an attention and back. A BERT of 2
layers takes 0.9 of the time. The bias becomes INT32 at scale `input scale x weight scale`, as in every quantized Gemm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.export.onnx_constants import GraphWriter
from edgekd.export.onnx_file import drop_unread, sort_nodes
from edgekd.export.onnx_graph import PASSES
from edgekd.export.placed import Placed

# Operators that treat every token alike, given constants that are one number or one per channel.
ACTIVATIONS = {"Add", "Cast", "Clip", "Div", "Erf", "Gelu", "Mul", "Relu", "Sigmoid", "Sub", "Sum", "Tanh"}
TOKENWISE = ACTIVATIONS | {"DequantizeLinear", "LayerNormalization", "QuantizeLinear"}


def in_rows(placed: Placed) -> Placed:
    """The placement with its biased linear layers on tokens as Gemms; its model is changed."""
    made = _Rows(placed.model).write()
    counts = Counter(placed.counts) + Counter(Gemm=made)
    counts["MatMul"] -= made
    return replace(placed, counts={kind: count for kind, count in sorted(counts.items()) if count})


@dataclass(frozen=True)
class _Linear:
    """A linear layer: the quantizer of its input, its nodes, and its bias as integers and scales `(N,)`."""

    quantizer: Any
    product: Any
    addition: Any
    outputs: int
    bias: NDArray[np.int32]
    scale: NDArray[np.float32]


class _Rows:
    """The rewriting of one graph.

    Attributes:
        rows: tensor to the same values as rows.
        leads: tensor that has rows, to one whose shape begins with its leading dimensions.
        dims: tensor to its dimensions, numbers and names; of those that are known, and of all that have rows.
        flat: tensors that are there as rows only.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.graph, self.writer = model, model.graph, GraphWriter(model)
        self.rows: dict[str, str] = {}
        self.leads: dict[str, str] = {}
        self.dims = {item.name: found for item in self.graph.value_info if (found := _dimensions(item)) is not None}
        self.flat: set[str] = set()
        self.shapes = {item.name: tuple(item.dims) for item in self.graph.initializer}
        self.makers = {tensor: node for node in self.graph.node for tensor in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.graph.node:
            for tensor in node.input:
                self.readers.setdefault(tensor, []).append(node)

    def write(self) -> int:
        """Rewrites the graph; returns the number of linear layers."""
        found = [linear for node in self.graph.node if (linear := self._linear(node)) is not None]
        products = {linear.product.name: linear for linear in found}
        additions = {linear.addition.name for linear in found}
        quantizers = {linear.quantizer.name for linear in found}
        for node in list(self.graph.node):
            if node.name in quantizers and node.input[0] not in self.rows:
                self._flatten(node.input[0])
            if node.name in products:
                self._gemm(products[node.name])
            elif self._treats_tokens(node):
                self._carry(node)
            elif node.name not in additions:
                self._restore_for(node)
        for item in self.graph.output:
            self._restore(item.name)
        for linear in found:
            self.graph.node.remove(linear.product)
            self.graph.node.remove(linear.addition)
        del self.graph.value_info[:]  # of tensors that have another shape now
        sort_nodes(self.model)
        drop_unread(self.model)
        return len(found)

    def _linear(self, product: Any) -> _Linear | None:
        """The layer of a MatMul of two quantized inputs, one a constant, whose only reader adds a constant vector."""
        readers = self.readers.get(product.output[0], [])
        if product.op_type != "MatMul" or len(readers) != 1 or readers[0].op_type != "Add":
            return None
        source, weight = (self.makers.get(name) for name in product.input)
        if source is None or weight is None or {source.op_type, weight.op_type} != {"DequantizeLinear"}:
            return None
        quantizer, addition = self.makers.get(source.input[0]), readers[0]
        shape = self.shapes.get(weight.input[0], ())
        biases = [name for name in addition.input if self.shapes.get(name) == shape[1:]]
        if quantizer is None or len(shape) != 2 or not biases:
            return None
        if self.dims.get(quantizer.input[0], ())[-1:] != shape[:1] or self._passed_on(quantizer.input[0]):
            return None
        bias = self.writer.values(biases[0])
        scale = self.writer.values(source.input[1]) * self.writer.values(weight.input[1])
        scale = np.broadcast_to(scale, bias.shape).astype(np.float32)
        integers = np.rint(bias.astype(np.float64) / scale)
        if not np.abs(integers).max() < 2**31:
            return None
        return _Linear(quantizer, product, addition, shape[1], integers.astype(np.int32), scale)

    def _passed_on(self, tensor: str) -> bool:
        """Whether a tensor only moves quantized values: the runtime moves eight bits then, which a reshape stops."""
        maker = self.makers.get(tensor)
        source = self.makers.get(maker.input[0]) if maker is not None and maker.op_type in PASSES else None
        return source is not None and source.op_type == "DequantizeLinear"

    def _flatten(self, tensor: str) -> None:
        """Gives a tensor its rows; of one that a reshape made, straight from that one's input."""
        maker, width = self.makers.get(tensor), self.dims[tensor][-1]
        source = maker.input[0] if maker is not None and maker.op_type == "Reshape" else tensor
        shape = self.writer.constant(f"rows_of_{width}", np.array([-1, width], np.int64))
        self.rows[tensor] = self.writer.node("Reshape", [source, shape], [f"{tensor}_rows"])
        self.leads[tensor] = tensor

    def _gemm(self, linear: _Linear) -> None:
        source, weight = linear.product.input
        output = linear.addition.output[0]
        bias = self.writer.constant(f"{output}_bias", linear.bias)
        scale = self.writer.constant(f"{output}_bias_scale", linear.scale)
        restored = self.writer.node("DequantizeLinear", [bias, scale], [f"{output}_bias_float"], axis=0)
        rows = self.writer.node("Gemm", [self.rows[source], weight, restored], [f"{output}_rows"])
        self._note(output, rows, source, linear.outputs)

    def _treats_tokens(self, node: Any) -> bool:
        """Whether a node reads tensors of one shape that have rows, and constants that mean the same for rows."""
        shapes = {self.dims[name] for name in node.input if name in self.rows}
        if node.op_type not in TOKENWISE or len(node.output) != 1 or len(shapes) != 1:
            return False
        if node.op_type == "LayerNormalization" and any(a.name == "axis" and a.i != -1 for a in node.attribute):
            return False
        accepted = {(), (1,)} if node.op_type.endswith("Linear") else {(), (1,), shapes.pop()[-1:]}
        return all(name in self.rows or self.shapes.get(name) in accepted for name in node.input if name)

    def _carry(self, node: Any) -> None:
        """Lets a node work on rows."""
        output, first = node.output[0], next(name for name in node.input if name in self.rows)
        for index, name in enumerate(node.input):
            node.input[index] = self.rows.get(name, name)
        node.output[0] = f"{output}_rows"
        self._note(output, node.output[0], first, self.dims[first][-1])

    def _note(self, tensor: str, rows: str, like: str, width: int | str) -> None:
        """A tensor is there as rows only, as many as `like` has."""
        self.rows[tensor], self.leads[tensor] = rows, self.leads[like]
        self.dims[tensor] = (*self.dims[like][:-1], width)
        self.flat.add(tensor)

    def _restore_for(self, node: Any) -> None:
        """Gives a node the tensors that it reads; a reshape reads rows as well."""
        for index, name in enumerate(node.input):
            if index == 0 and name in self.flat and node.op_type == "Reshape" and self._copies_nothing(node):
                node.input[0] = self.rows[name]
            else:
                self._restore(name)

    def _copies_nothing(self, reshape: Any) -> bool:
        """Whether no 0 in a reshape's shape stands for a dimension of its input."""
        shape = reshape.input[1]
        literal = any(item.name == "allowzero" and item.i for item in reshape.attribute)
        return literal or (shape in self.shapes and bool(self.writer.values(shape).all()))

    def _restore(self, tensor: str) -> None:
        """Makes a tensor that is there as rows only."""
        if tensor not in self.flat:
            return
        self.flat.remove(tensor)
        lead, width = self.leads[tensor], self.dims[tensor][-1]
        dimensions = self.writer.node("Shape", [lead], [f"{lead}_leading"], end=-1)
        last = self.writer.constant(f"width_{width}", np.array([width], np.int64))
        shape = self.writer.node("Concat", [dimensions, last], [f"{lead}_shape_{width}"], axis=0)
        self.writer.node("Reshape", [self.rows[tensor], shape], [tensor])


def _dimensions(item: Any) -> tuple[int | str, ...] | None:
    """A tensor's dimensions, each a number or a name; None where one is unknown."""
    found = [dimension.dim_value or dimension.dim_param for dimension in item.type.tensor_type.shape.dim]
    return tuple(found) if found and all(found) else None
