"""Peak memory: a known allocation must be seen, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd.benchmark.agent import memory

PROGRAM = """
import json, sys
sys.path.insert(0, {folder!r})
import memory
{patch}
before = bytearray(200 * 2**20) if {early} else None
del before
peak = memory.PeakMemory()
block = bytearray({size} * 2**20)
for i in range(0, len(block), 4096):
    block[i] = 1
del block
print(json.dumps(peak.result()))
"""


def measured(size: int, early: bool = False, patch: str = "") -> dict:
    folder = str(Path(memory.__file__).parent)
    program = PROGRAM.format(folder=folder, size=size, early=early, patch=patch)
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


@pytest.mark.parametrize("early", [False, True])
def test_a_block_that_is_gone_again_is_in_the_peak(early: bool) -> None:
    result = measured(64, early)
    assert result["peak_rss_above_runtime_bytes"] == pytest.approx(64 * 2**20, rel=0.1)
    assert result["rss_runtime_bytes"] > 2**20


def test_without_a_reset_a_higher_peak_is_still_seen() -> None:
    result = measured(64, patch="memory.reset_peak = lambda: False")
    assert result["peak_rss_above_runtime_bytes"] == pytest.approx(64 * 2**20, rel=0.1)
    assert "without a reset" in result["peak_rss_method"]


def test_without_a_reset_a_lower_peak_is_none_with_a_reason() -> None:
    result = measured(16, early=True, patch="memory.reset_peak = lambda: False")
    assert result["peak_rss_above_runtime_bytes"] is None and result["peak_rss_method"] is None
    assert "could not be reset" in result["peak_rss_reason"]


def test_a_system_without_proc_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "absent")
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "no" / "folder")
    result = memory.PeakMemory().result()
    assert result["peak_rss_above_runtime_bytes"] is None
    assert "no VmHWM" in result["peak_rss_reason"]
