"""Rewrites of an INT8 model into forms that OpenVINO's CPU plugin computes right at a free batch as at a fixed one.

Both faults are of the plugin (seen in 2026.4 on x86), and neither shows in float or where the file is run at batch 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekd.backends import need


def settle(model: Any) -> None:
    """Applies both rewrites; the model computes the same values."""
    opset: Any = need("openvino.opset13", extra="openvino")
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape":
            _state_shape(opset, node)
        elif node.get_type_name().startswith("Reduce"):
            _widen(opset, node)
    model.validate_nodes_and_infer_types()


def _state_shape(opset: Any, node: Any) -> None:
    """A reshape to a shape that is known gets it as a constant.

    The converter computes that of an INT8 bias from the layer's result. At a free batch the plugin takes other shapes
    from there as well, and then drops the bias when it makes it a part of the layer.
    """
    shape = node.output(0).partial_shape
    if shape.is_static and _constant(node.input(1)) is None:
        _connect(node.input(1), opset.constant(np.array(shape.to_shape(), np.int64)))


def _widen(opset: Any, node: Any) -> None:
    """Means of tokens `(B, T, C)` are taken over two axes of `(B, T, 1, C)`.

    Over axis 1 of three, the plugin's kernel for 8-bit values with a float result is right for the first sample only.
    """
    axes = _constant(node.input(1))
    rank = node.input(0).get_partial_shape().rank
    if axes is None or rank.is_dynamic or rank.get_length() != 3 or [axis % 3 for axis in axes.flat] != [1]:
        return
    readers = node.output(0).get_target_inputs()
    _connect(node.input(0), opset.unsqueeze(node.input_value(0), opset.constant(np.int64(2))))
    _connect(node.input(1), opset.constant(np.array([1, 2], np.int64)))
    if node.get_attributes()["keep_dims"]:
        squeezed = opset.squeeze(node, opset.constant(np.int64(2)))
        for reader in readers:
            _connect(reader, squeezed)


def _constant(port: Any) -> Any | None:
    source = port.get_source_output().get_node()
    return source.get_data() if source.get_type_name() == "Constant" else None


def _connect(port: Any, node: Any) -> None:
    port.replace_source_output(node.output(0))
