"""Every shipped profile: complete, sourced, and consistent with the formats and runtimes that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekd.benchmark.link import AGENT
from edgekd.target import UNITS, Target

FOLDER = Path(__file__).parents[1] / "targets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert", "tensorrt": "tensorrt"}


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document: an independent walk."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from mappings(item)


def test_the_shipped_targets() -> None:
    assert (
        Target.names()
        == NAMES
        == sorted(
            ["jetson-agx-orin", "jetson-orin-nano", "raspberry-pi-4", "raspberry-pi-5", "x86-avx2", "x86-avx512-vnni"]
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_unit_and_source(name: str) -> None:
    for mapping in mappings(yaml.safe_load((FOLDER / f"{name}.yaml").read_text())):
        for key, value in mapping.items():
            numbers = value if isinstance(value, list) else [value]
            if any(isinstance(item, int | float) and not isinstance(item, bool) for item in numbers):
                assert key.endswith(UNITS), key
                assert len(mapping.get("source", "")) > 10, mapping


@pytest.mark.parametrize("name", NAMES)
def test_sources_are_public_documents(name: str) -> None:
    for mapping in mappings(yaml.safe_load((FOLDER / f"{name}.yaml").read_text())):
        if "source" in mapping:
            assert re.search(r"https://\S+\.\S+|datasheet|Technical Brief", mapping["source"]), mapping["source"]


@pytest.mark.parametrize("name", NAMES)
def test_formats_and_runtimes_exist_and_belong_together(name: str) -> None:
    target = Target.load(name)
    runtimes = {row.name for row in target.runtimes}
    for row in target.formats:
        assert RUNTIME_OF[row.name] in runtimes
        assert (AGENT / "runtimes" / f"{RUNTIME_OF[row.name]}.py").is_file()
    assert len({row.name for row in target.formats}) == len(target.formats)


@pytest.mark.parametrize("name", NAMES)
def test_every_board_has_the_facts_that_its_kind_has(name: str) -> None:
    target = Target.load(name)
    if name.startswith("x86"):
        assert target.cpu is None and target.memory is None and target.device_tree_model is None
        return
    assert target.cpu is not None and target.memory is not None and target.device_tree_model
    if name.startswith("jetson"):
        rows = [row for row in target.runtimes if row.name == "tensorrt"]
        assert all(row.jetpack and row.cuda and row.version.startswith("10.") for row in rows) and len(rows) >= 3
        assert target.accelerators[0].kind == "gpu"
        modes = [mode.mode_index for mode in target.power_modes]
        assert modes == sorted(set(modes)) and len(modes) >= 3


def test_dot_product_tells_the_two_raspberry_pis_apart() -> None:
    assert "asimddp" in Target.load("raspberry-pi-5").instruction_sets.required
    assert "asimddp" not in Target.load("raspberry-pi-4").instruction_sets.required
