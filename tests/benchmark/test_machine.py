"""The machine's identity: steady, and sensitive to what changes a timing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd.benchmark import machine
from edgekd.benchmark.agent import device


def test_the_id_is_the_same_in_another_process() -> None:
    program = "from edgekd.benchmark.machine import machine_id; print(machine_id())"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == machine.machine_id()


def test_the_id_changes_with_the_instruction_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.machine_id()
    text = device.CPUINFO.read_text()
    (tmp_path / "cpuinfo").write_text(
        text.replace("flags\t\t: ", "flags\t\t: newflag ").replace("Features\t: ", "Features\t: newflag ")
    )
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.machine_id() != before


def test_the_environment_is_plain_json_and_has_what_the_report_shows() -> None:
    environment = machine.environment()
    assert json.loads(json.dumps(environment)) == environment
    assert {"cpu", "cores", "memory_bytes", "os", "python", "machine_id", "instruction_sets", "versions"} <= set(
        environment
    )
    assert environment["versions"]["numpy"]
    assert "busy_cores" not in environment
