"""This machine: the agent in a fresh Python process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.benchmark.link import AGENT, Job, Link, raise_agent_error
from edgekd.errors import BenchmarkError
from edgekd.isolated import last_lines, signal_of
from edgekd.scratch import scratch

if TYPE_CHECKING:
    from edgekd.target import Target


class Local(Link):
    """Runs the agent with the Python that runs edgekd."""

    def reasons(self, target: Target) -> list[str]:
        """What the profile asks for and this machine has not."""
        return target.matches_host()

    def run(self, job: Job, time_limit_s: float) -> dict[str, Any]:
        """Starts the agent, waits at most `time_limit_s` seconds, and reads its one JSON document."""
        with scratch() as folder:
            path = folder / "job.json"
            path.write_text(json.dumps(job.to_json()), encoding="utf-8")
            code, out, err = _call([sys.executable, str(AGENT), str(path), "--follow"], time_limit_s, job.artifact)
        tail = last_lines(err)
        if (name := signal_of(code)) is not None:
            raise BenchmarkError(f"the measuring agent was killed by {name}", where=job.artifact, received=tail)
        try:
            answer = json.loads(out)
        except json.JSONDecodeError as error:
            raise BenchmarkError(
                f"the measuring agent gave no JSON (exit code {code})",
                where=job.artifact,
                received=tail or out[:500] or None,
            ) from error
        if "error" in answer:
            raise_agent_error(answer["error"], job.artifact)
        if code != 0:
            raise BenchmarkError(f"the measuring agent failed with exit code {code}", where=job.artifact, received=tail)
        return answer


def _call(command: list[str], time_limit_s: float, artifact: Path) -> tuple[int, str, str]:
    # A session of its own, so that whatever a runtime starts ends with it. Its stdin is a pipe that closes when this
    # process dies, even of SIGKILL: an agent that outlived it would write into the folder of the next run.
    reading, writing = os.pipe()
    process = subprocess.Popen(
        command, stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        start_new_session=True,
    )  # fmt: skip
    os.close(reading)
    try:
        out, err = process.communicate(timeout=time_limit_s)
        return process.returncode, out, err
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(
            f"the measuring agent took longer than {time_limit_s:g} s",
            where=artifact,
            hint="raise benchmark.time_limit_s, or measure fewer runs",
        ) from error
    finally:
        os.close(writing)
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
