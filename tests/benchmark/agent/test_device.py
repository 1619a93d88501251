"""Reading a machine: from the real one, and from the /proc/cpuinfo of the boards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekd.benchmark.agent import device

PI_5 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


STAT = "cpu  {} 50 400 9000 300 10 40 200 7 7\ncpu0 1 2 3 4 5 6 7 8 0 0\nintr 5\n"


@pytest.fixture
def neighbour() -> Iterator[int]:
    """The process id of a real process that burns a core."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process.pid
        process.kill()


def burnt_s(pid: int) -> float:
    """CPU seconds of another process, as the scheduler counts them."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


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


def test_what_a_neighbour_burns_while_timing_is_counted(neighbour: int) -> None:
    before, burnt = device.cpu_time(), burnt_s(neighbour)
    while burnt_s(neighbour) < burnt + 0.5:
        time.sleep(0.02)
    after = device.cpu_time()
    assert before is not None and after is not None
    found = device.others(before, after)
    # Half of it, because the kernel samples it in ticks; anything else that runs here can only add.
    assert found["others_busy_cores"] * (after.wall_s - before.wall_s) > 0.25
    assert found["others_busy_reason"] is None


def test_own_work_is_not_counted_by_arithmetic_on_recorded_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "STAT", tmp_path / "stat")
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    looks: list[device.CpuTime] = []
    for user, wall, own in ((1000, 50.0, 3.0), (1450, 52.0, 6.5), (1650, 54.0, 8.51)):
        (tmp_path / "stat").write_text(STAT.format(user))
        monkeypatch.setattr(time, "monotonic", lambda wall=wall: wall)
        monkeypatch.setattr(time, "process_time", lambda own=own: own)
        look = device.cpu_time()
        assert look is not None
        looks.append(look)
    assert looks[0].busy_s == pytest.approx((1000 + 50 + 400 + 10 + 40 + 200) / 100)  # neither idle nor iowait
    # 450 ticks are 4.5 s, of which 3.5 s were ours: others had 1 s in 2 s.
    assert device.others(looks[0], looks[1])["others_busy_cores"] == pytest.approx(0.5)
    # 2 s were used, all of them ours: a rounding of -0.01 s is nobody's work.
    assert device.others(looks[1], looks[2])["others_busy_cores"] == 0


def test_what_others_used_is_unmeasured_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = device.CpuTime(1.0, 1.0, 1.0)
    short = device.others(look, device.CpuTime(1.05, 2.0, 1.0))
    assert short["others_busy_cores"] is None and "timed for 50 ms" in short["others_busy_reason"]
    monkeypatch.setattr(device, "STAT", tmp_path / "stat")
    assert device.cpu_time() is None and device.busy_cores() is None
    (tmp_path / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")  # sandboxes that hide the machine
    assert device.cpu_time() is None
    assert device.others(None, look) == {
        "others_busy_cores": None,
        "others_busy_reason": f"the kernel tells no CPU times in {tmp_path / 'stat'}",
    }


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
