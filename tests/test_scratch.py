"""Temporary folders, also of processes that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd.scratch import scratch

HOLDS = """
import time
from edgekd.scratch import scratch
with scratch() as folder:
    (folder / "large.npy").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    command = [sys.executable, "-c", HOLDS]
    living, killed = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    assert living.stdout is not None and killed.stdout is not None
    kept, left = (Path(process.stdout.readline().strip()) for process in (living, killed) if process.stdout)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.is_dir() and left.parent == tmp_path
    with scratch() as own:
        assert own.is_dir() and kept.is_dir() and not left.exists()
    assert not own.exists()
    living.kill()
    living.wait()
