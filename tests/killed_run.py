"""Runs command lines in forked children, and kills them with SIGKILL in the middle of a stage. Run by test_kill.py.

Each line of stdin is a job, `{"folder", "pattern", "arguments", "errors"}`; its exit status is a line of stdout. The
children are forked off one process that has imported the heavy packages and computed nothing.

The moment is not a matter of luck: Python reports every file before it opens it. A child dies when it is about to
write a file that matches the pattern and the folder of that stage already holds bytes. With the pattern `agent` it dies
while the measuring agent, a process of its own, is at work.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from edgekd.benchmark import AGENT
from edgekd.cli import main

HEAVY = ("torch._dynamo", "torch.export", "torch.onnx", "onnx", "onnxscript", "onnxruntime")
WRITES = os.O_WRONLY | os.O_RDWR


def child(folder: str, pattern: str, arguments: list[str], errors: str) -> int:
    """The command line's exit code, when it lives to have one."""
    os.chdir(folder)
    log = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.addaudithook(lambda event, values: watch(pattern, event, values))
    sys.argv = ["edgekd", *arguments]
    try:
        main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def watch(pattern: str, event: str, values: tuple[Any, ...]) -> None:
    """The audit hook: `pattern` is one of a path inside the folder of a stage, `FOLDER/*`."""
    if pattern == "agent" and event == "subprocess.Popen" and str(AGENT) in map(str, values[1]):
        threading.Thread(target=die_with_a_child, daemon=True).start()
    if event == "open" and values[2] & WRITES and fnmatch(str(values[0]), pattern):
        stage = next(path for path in Path(values[0]).parents if fnmatch(str(path), pattern.rpartition("/")[0]))
        if any(path.is_file() and path.stat().st_size for path in stage.rglob("*")):
            os.kill(os.getpid(), signal.SIGKILL)


def die_with_a_child() -> None:
    """Waits until a child runs."""
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    for package in HEAVY:
        importlib.import_module(package)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(child(**json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
