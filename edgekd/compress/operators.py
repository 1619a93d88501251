"""Which ATen operators can run in integers, and why the others stay in float.

An operator is named by its type, `conv2d` for `aten.conv2d.default`. Only operators that every runtime of this
project has an integer kernel for are listed as such: one description drives them all.
"""

from __future__ import annotations

# Multiply a constant weight with an activation: these are what INT8 is for. Axis of the output channels in the weight.
WEIGHTED = {"conv1d": 0, "conv2d": 0, "conv3d": 0, "linear": 0}

# Those whose activations every runtime of this project can also quantize while it runs.
DYNAMIC = {"linear"}

# Look rows up in a constant table, which INT8 shrinks fourfold; the rows are float again before they are used.
LOOKUPS = {"embedding"}

# Combine activations that have each their own scale.
COMBINING = {"add", "mul", "cat"}
# Those of them that compute nothing.
JOINING = {"cat"}

# Keep integers integers, and so follow their input: clipping, averaging and moving.
CLIPPING = {"relu", "hardtanh", "relu6", "clamp", "clamp_min"}
AVERAGING = {"avg_pool2d", "adaptive_avg_pool2d", "mean"}
# Their results are values of their first input, so they keep its scale: max pooling is one of them.
MOVING = {
    "flatten",
    "view",
    "reshape",
    "permute",
    "transpose",
    "contiguous",
    "clone",
    "squeeze",
    "unsqueeze",
    "unflatten",
    "pixel_shuffle",
    "channel_shuffle",
    "t",
    "slice",
    "select",
    "chunk",
    "split",
    "split_with_sizes",
    "getitem",
    "narrow",
    "expand",
    "pad",
    "max_pool2d",
    "adaptive_max_pool2d",
}
FOLLOWING = CLIPPING | AVERAGING | MOVING

REASONS = {
    "softmax": "softmax needs exponentials of wide range; its integer kernels lose too much",
    "log_softmax": "softmax needs exponentials of wide range; its integer kernels lose too much",
    "layer_norm": "layer normalisation computes variances, which 8 bits do not hold",
    "group_norm": "group normalisation computes variances, which 8 bits do not hold",
    "batch_norm": "batch normalisation that follows no layer it could be folded into",
    "native_layer_norm": "layer normalisation computes variances, which 8 bits do not hold",
    "matmul": "both factors are computed, neither is a constant weight",
    "bmm": "both factors are computed, neither is a constant weight",
    "scaled_dot_product_attention": "attention contains a softmax",
}
NORMS = {"layer_norm", "native_layer_norm"}
NO_KERNEL = "not every runtime has an integer kernel for it"
COMPUTED_WEIGHT = "its weight is computed at run time, so it has no constant integers"
CONSTANT_OPERAND = "one operand is a constant"
BETWEEN_FLOATS = "it joins a float tensor to another layer's result, for a normalisation in float to read"
FLOAT_READERS = "only operators in float read it"
RUN_TIME = "only linear layers quantize their activations at run time"
FLOAT_INPUTS = "all its inputs come from layers in float"
ON_REQUEST = "kept in float by the recipe"


def reason(operator: str) -> str:
    """Why an operator outside the integer ones stays in float."""
    return REASONS.get(operator, NO_KERNEL)
