"""Every family of edgekd: each file loads, is documented, and needs no torch to be read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgekd.listing import all_families

EVERY = [(family, name) for family, found in all_families().items() for name in found.names()]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_method(family: str, name: str) -> None:
    method = all_families()[family].load(name)
    assert method.__doc__ and all_families()[family].summaries()[name].endswith(".")
    assert method.model_config["frozen"] and method.model_config["extra"] == "forbid"
    assert method.model_json_schema()["type"] == "object"


def test_reading_every_method_imports_no_torch() -> None:
    program = (
        "import sys\nfrom edgekd.listing import all_families\n"
        "[family.load(name) for family in all_families().values() for name in family.names()]\n"
        "heavy = {'torch', 'torchvision', 'onnx', 'onnxruntime', 'openvino', 'litert_torch', 'PIL'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
