from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekd.compress import CompressSection, compress, operators
from edgekd.compress.affine import weight
from edgekd.compress.description import Description
from edgekd.compress.fold import Program
from edgekd.compress.rules import QuantizationRules
from edgekd.errors import CompressError
from edgekd.progress import QUIET

from ...simulation import fake_quantize, simulate


def describe(program: Program, keep: list[str] | None = None) -> Description:
    def batches() -> Any:
        raise AssertionError("the calibration samples were read")

    section = CompressSection.model_validate({"method": "int8_dynamic", "keep_float": keep or []})
    return compress(program, batches, section, QuantizationRules(), QUIET)


def test_linear_layers_and_tables_without_calibration(networks: Any) -> None:
    program = networks.program("sequence")
    found = describe(program)
    types = program.operators()
    assert found.dynamic and found.samples == 0
    assert [types[name] for name in found.quantized] == ["linear"] * (networks.LINEAR + 1)
    assert [found.layers[name].rpartition(".")[2] for name in found.embeddings] == [
        "word_embeddings",
        "token_type_embeddings",
        "position_embeddings",
    ]
    assert Description.model_validate_json(found.model_dump_json()) == found


def test_what_stays_in_float_says_why(networks: Any) -> None:
    found = describe(networks.program("sequence"), ["head", "*.word_embeddings"])
    reasons = {item.operator: item.reason for item in found.kept_float}
    assert reasons["layer_norm"] == operators.REASONS["layer_norm"]
    assert reasons["softmax"] == operators.REASONS["softmax"]
    assert reasons["matmul"] == operators.REASONS["matmul"]
    kept = {item.layer for item in found.kept_float if item.reason == operators.ON_REQUEST}
    assert kept == {"head", "bert.embeddings.word_embeddings"}
    assert "bert.embeddings.word_embeddings" not in [found.layers[name] for name in found.embeddings]


def test_convolutions_stay_in_float(program: Program) -> None:
    found = describe(program)
    assert [program.layers()[name] for name in found.quantized] == ["head"]
    assert operators.RUN_TIME in {item.reason for item in found.kept_float if item.operator == "conv2d"}


def test_a_network_without_linear_layers_is_refused(program: Program) -> None:
    with pytest.raises(CompressError, match="no convolution or linear layer is left"):
        describe(program, ["head"])


def test_simulation_takes_each_rows_own_range(networks: Any) -> None:
    """One layer alone, against the formula written out."""
    program = networks.program("sequence")
    names = [name for name in program.layers().values() if name != "head" and not name.startswith("bert.embeddings")]
    found = describe(program, [*dict.fromkeys(names), "bert.embeddings.*"])
    inputs = tuple(torch.from_numpy(part) for part in networks.padded(networks.texts([6, 6], seed=4)))
    model = networks.model("sequence")
    hidden: list[torch.Tensor] = []
    handle = model.head.register_forward_pre_hook(lambda module, args: hidden.append(args[0]))
    model(*inputs)
    handle.remove()
    x, w = hidden[0].detach().numpy(), model.head.weight.detach().numpy()
    scale = np.abs(x).max(axis=1, keepdims=True) / 127
    restored = np.rint(x / scale) * scale @ fake_quantize(w, weight(w)).T
    expected = restored + model.head.bias.detach().numpy()
    np.testing.assert_allclose(simulate(program, found, *inputs).numpy(), expected, atol=1e-5)
