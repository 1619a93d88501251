from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgekd.compress import CompressSection, compress, key
from edgekd.compress.description import Description
from edgekd.compress.rules import QuantizationRules
from edgekd.progress import QUIET


def describe(program, images, section=None, **rules) -> Description:
    batches = lambda: iter([(images[:10].numpy(),), (images[10:].numpy(),)])  # noqa: E731
    return compress(program, batches, section or CompressSection(), QuantizationRules(**rules), QUIET)


def test_every_tensor_has_a_range_and_a_fingerprint(program, images):
    found = describe(program, images)
    assert list(found.activations) == [program.input, *program.operators()]
    for activation in found.activations.values():
        assert min(activation.minimum, 0) <= activation.low <= 0 <= activation.high <= max(activation.maximum, 0)
    assert found.samples == len(images)
    assert found.layers["conv2d"] == "stem.0"
    assert found.activations[program.input].fingerprint[4] == program.example[0].numel()
    entropy = {"candidates": 400, "error_limit": 4.0}
    assert found.method == {"int8_static": {"ranges": {"entropy": entropy}, "per_channel": True}}
    assert (found.weight_bits, found.activation_grid) == (8, "asymmetric")


def test_same_samples_same_description(program, images):
    assert describe(program, images) == describe(program, images)


def test_survives_json(program, images):
    found = describe(program, images)
    assert Description.model_validate_json(found.model_dump_json()) == found


def test_rules_reach_the_description(program, images):
    found = describe(program, images, weight_bits=7, activations="symmetric")
    assert (found.weight_bits, found.activation_grid) == (7, "symmetric")


def test_ranges_are_the_methods(program, images):
    section = CompressSection.model_validate({"method": {"int8_static": {"ranges": "minmax"}}, "keep_float": ["head"]})
    found = describe(program, images, section)
    assert all(a.high == max(a.maximum, 0) and a.low == min(a.minimum, 0) for a in found.activations.values())
    assert "head" in [kept.layer for kept in found.kept_float]


def test_a_misspelt_method_offers_the_nearest():
    with pytest.raises(ValidationError, match="did you mean 'int8_static'"):
        CompressSection.model_validate({"method": "int8_statik"})
    with pytest.raises(ValidationError, match="did you mean 'entropy'"):
        CompressSection.model_validate({"method": {"int8_static": {"ranges": "entropi"}}})


def test_key_tells_apart_what_decides_the_result():
    sections = [
        CompressSection(),
        CompressSection(keep_float=["a"]),
        CompressSection(method={"int8_static": {"per_channel": False}}),
    ]
    keys = [str(key(section, QuantizationRules())) for section in sections]
    keys += [str(key(CompressSection(), QuantizationRules(weight_bits=7)))]
    keys += [str(key(CompressSection(), QuantizationRules(activations="symmetric")))]
    assert len(set(keys)) == 5
