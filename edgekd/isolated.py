"""Calls a function in a process of its own: a native runtime that dies of a fresh file ends that process, and no run.

The call and its answer are pickled, between this process and the one that it starts, and nowhere else.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from edgekd.errors import EdgekdError, ExportError, cause_of

T = TypeVar("T")


class Died(ExportError, exit_code=ExportError.exit_code):
    """The process was killed by a signal."""


STDERR_LINES = 12
"""Enough for a runtime's last words."""


def signal_of(code: int) -> str | None:
    """Name of the signal that ended a process, from its exit code; None when none did."""
    return signal.Signals(-code).name if code < 0 else None


def last_lines(printed: str) -> str | None:
    """The end of what a process printed, as an error shows it."""
    return "\n    ".join(printed.strip().splitlines()[-STDERR_LINES:]) or None


def isolated(what: str, function: Callable[..., T], *arguments: object) -> T:
    """`function(*arguments)`, computed in a fresh Python process.

    Args:
        what: the runtime or converter that is used there, for the message.
        function: of a module, so that it is found again; that module should be fast to import.
        arguments: like the answer, what pickle can copy.

    Raises:
        Died: the process was killed by a signal, which is named.
        ExportError: the function raised what is no error of this project.
        EdgekdError: as the function raised it.
    """
    # -P: the current folder does not come first; what this process can import, that one can.
    command = [sys.executable, "-P", "-m", __name__]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    call = pickle.dumps((function, arguments))
    done = subprocess.run(command, input=call, capture_output=True, env=environment, check=False)
    words = last_lines(done.stderr.decode("utf-8", "replace"))
    if (name := signal_of(done.returncode)) is not None:
        raise Died(f"{what} was killed by {name}", received=words)
    if done.returncode != 0:
        raise ExportError(f"{what} ended with exit code {done.returncode}", received=words)
    answer = pickle.loads(done.stdout)  # noqa: S301 (our own process wrote it)
    if isinstance(answer, EdgekdError):
        raise answer
    return answer


def main() -> None:
    """The other process: reads the call from stdin, and writes the answer to stdout, where nothing else is printed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 (of the process that started this one)
    answer: Any
    try:
        answer = function(*arguments)
    except EdgekdError as error:
        answer = error
    except Exception as error:  # the border of the process: runtimes share no base class of what they raise
        traceback.print_exc()
        answer = ExportError(cause_of(error))
    with answers:
        pickle.dump(answer, answers)


if __name__ == "__main__":
    main()
