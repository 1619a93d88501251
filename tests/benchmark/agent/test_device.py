"""Reading a machine: from the real one, and from the /proc/cpuinfo of the boards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekd.benchmark.agent import device

PI_5 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


def test_this_machine() -> None:
    facts = device.steady_facts()
    assert facts["architecture"] == device.architecture()
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["memory_bytes"] == pytest.approx(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), rel=0.01)
    assert facts["instruction_sets"] and facts["cpu"]
    momentary = device.momentary_facts()
    assert 0 <= momentary["busy_cores"] <= device.cores() * 1.5
    assert not facts.keys() & momentary.keys()


def test_a_raspberry_pi_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(PI_5)
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    assert device.cpu_model() == "Cortex-A76"
    assert {"asimddp", "asimdhp", "atomics"} <= set(device.cpu_flags())


def test_an_unknown_arm_core_keeps_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("CPU part\t: 0xfff\n")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    assert device.cpu_model() == "Arm part 0xfff"
    assert device.cpu_flags() == []


def test_what_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "absent")
    assert device.cpu_model() is None
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert device.read_text(tmp_path / "model") == "Raspberry Pi 5 Model B Rev 1.0"
