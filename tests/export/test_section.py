from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgekd.compress.rules import QuantizationRules
from edgekd.errors import ExportError
from edgekd.export import FORMATS, Exported, ExportSection, Format, export


def test_defaults() -> None:
    section = ExportSection()
    assert section.formats is None
    assert section.precisions == ["float32", "int8"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"formats": ["onxn"]}, "did you mean 'onnx'"),
        ({"formats": []}, "at least one format"),
        ({"precisions": ["int4"]}, "float32"),
        ({"precisions": []}, "at least 1"),
        ({"format": ["onnx"]}, "Extra inputs"),
    ],
)
def test_mistakes(value: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExportSection.model_validate(value)


def test_reading_every_format_imports_no_backend() -> None:
    code = (
        "import sys; from edgekd.export import FORMATS\n"
        "[FORMATS.parse(name).identity() for name in FORMATS.names()]\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'litert_torch', 'ai_edge_quantizer'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_format_names_its_runtime_and_versions() -> None:
    for name in FORMATS.names():
        method = FORMATS.parse(name)
        assert method.runtime
        assert all(method.identity().values()), method.identity()


def test_a_precision_that_a_format_lacks_is_refused(program, description, tmp_path: Path) -> None:
    class FloatOnly(Format):
        precisions = ("float32",)
        method_name = "float_only"

        def identity(self):
            return {}

        def export(self, program, description, folder, rules):
            return Exported("nothing.bin", [], [])

    with pytest.raises(ExportError, match="has no int8"):
        export(program, description, FloatOnly(), tmp_path, None)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="did not write its entry"):
        export(program, None, FloatOnly(), tmp_path, None)  # type: ignore[arg-type]


def test_whatever_a_converter_raises_is_a_reason(tmp_path: Path) -> None:
    class Odd(Format):
        def identity(self) -> dict[str, object]:
            return {}

        def export(self, program, description, folder, rules) -> Exported:
            raise AssertionError("Number of input tokens (1)\nand a trace")

    with pytest.raises(
        ExportError, match=r"format test_section failed on this network\n.*Number of input tokens \(1\)$"
    ):
        export(None, None, Odd(), tmp_path, QuantizationRules())
