"""Weights and tables stored in INT8 in an ONNX graph, and their way back to float.

A weight is `w = s_c q` with one scale per output channel c; a table's row r is `t_r = s_r q_r` with one scale per row:
token embeddings differ in length by an order of magnitude, and one scale for all would leave the short ones few steps.
A look-up gathers the integers and the scale of the rows that it needs, so that the table is INT8 in the file as in
memory: no runtime folds it into floats, because the indices are not constant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.compress import affine
from edgekd.errors import ExportError
from edgekd.export.onnx_file import drop_unused, onnx_module, sort_nodes


@dataclass
class GraphWriter:
    """An ONNX graph being changed.

    Attributes:
        model: the `ModelProto`.
        stored: names of the tensors made so far.
    """

    model: Any
    stored: set[str] = field(default_factory=set[str])

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds an initializer, once, and returns its name."""
        if name not in self.stored:
            self.stored.add(name)
            self.model.graph.initializer.append(onnx_module().numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        """Adds a node, once, and returns its first output."""
        if outputs[0] not in self.stored:
            self.stored.add(outputs[0])
            made = onnx_module().helper.make_node(kind, inputs, outputs, name=f"{outputs[0]}_node", **attributes)
            self.model.graph.node.append(made)
        return outputs[0]

    def values(self, name: str) -> NDArray[Any]:
        """A stored tensor.

        Raises:
            ExportError: it is computed.
        """
        found = next((item for item in self.model.graph.initializer if item.name == name), None)
        if found is None:
            raise ExportError("a quantized operator's weight is computed, not stored", where=name)
        return onnx_module().numpy_helper.to_array(found)

    def integers(
        self, name: str, axis: int | None, bits: Literal[7, 8] = 8, *, transposed: bool = False
    ) -> tuple[str, str]:
        """Names of a stored tensor's INT8 integers and of its scales, `()` or `(C,)`; transposed on request."""
        values = self.values(name)
        grid = affine.weight(values, bits=bits, axis=axis)
        integers = affine.quantize(values, grid).astype(np.int8)
        whole = self.constant(f"{name}_int8", np.ascontiguousarray(integers.T if transposed else integers))
        return whole, self.constant(f"{name}_scale", np.asarray(grid.scale, np.float32))

    def finish(self) -> None:
        """Puts the new nodes where they belong, and drops what nothing reads any more."""
        drop_unused(self.model)
        sort_nodes(self.model)


def shrink_tables(model: Any, names: Iterable[str]) -> None:
    """Gives the named Gather nodes INT8 tables: `Cast(Gather(q, i)) * Gather(s, i)`."""
    writer = GraphWriter(model)
    types = onnx_module().TensorProto
    for node in [node for node in model.graph.node if node.name in set(names)]:
        table, indices = node.input[0], node.input[1]
        whole, _ = writer.integers(table, 0)
        scales = writer.constant(f"{table}_row_scale", affine.weight(writer.values(table)).scale[:, None])  # (V, 1)
        output = node.output[0]
        rows = writer.node("Gather", [whole, indices], [f"{output}_int8"], axis=0)
        factors = writer.node("Gather", [scales, indices], [f"{output}_scale"], axis=0)
        wide = writer.node("Cast", [rows], [f"{output}_wide"], to=types.FLOAT)
        model.graph.node.remove(node)
        writer.node("Mul", [wide, factors], [output])
    writer.finish()
