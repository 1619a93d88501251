"""The local link: what becomes of an agent that dies, hangs or talks nonsense."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgekd.benchmark.link import Job
from edgekd.benchmark.links import local
from edgekd.errors import BenchmarkError


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replaces the agent by a small program, to make it fail in a chosen way."""

    def replace(program: str) -> None:
        path = tmp_path / "agent.py"
        path.write_text(program)
        monkeypatch.setattr(local, "AGENT", path)

    return replace


def run(tmp_path: Path, limit_s: float = 20.0) -> dict:
    return local.Local().run(Job(tmp_path), limit_s)


def test_a_killed_agent_names_the_signal_and_its_last_words(agent, tmp_path: Path) -> None:
    agent(
        "import os, signal, sys\nprint('last words', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)"
    )
    with pytest.raises(BenchmarkError, match=r"killed by SIGSEGV[\s\S]*last words"):
        run(tmp_path)


def test_nonsense_on_stdout_is_an_error(agent, tmp_path: Path) -> None:
    agent("print('Segmentation fault')\nraise SystemExit(3)")
    with pytest.raises(BenchmarkError, match=r"gave no JSON \(exit code 3\)"):
        run(tmp_path)


def test_an_answer_with_a_failing_exit_code_is_not_believed(agent, tmp_path: Path) -> None:
    agent("print('{}')\nraise SystemExit(4)")
    with pytest.raises(BenchmarkError, match="exit code 4"):
        run(tmp_path)


def test_the_time_limit_ends_grandchildren_too(agent, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    agent(
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))\n"
        "child.wait()"
    )
    with pytest.raises(BenchmarkError, match=r"took longer than 1\.5 s[\s\S]*time_limit_s"):
        run(tmp_path, 1.5)
    pid = int(pid_file.read_text())
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    os.kill(pid, 9)
    pytest.fail("the agent's child lived on")
