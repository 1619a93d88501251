"""Keeps converters' chatter off stdout and stderr; it is shown only when they fail."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path

from edgekd.errors import ExportError, cause_of

# Enough for the reason, which converters print last.
SHOWN_LINES = 12


@contextlib.contextmanager
def silenced(what: str, *failures: type[Exception]) -> Generator[None]:
    """Runs the block with everything that Python or C++ prints held back.

    Args:
        what: the step, for the message.
        failures: exceptions of the converter that become an ExportError with the last lines it printed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        try:
            with _redirected(sink.fileno()), _text_redirected(), _quiet_logging(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except failures as error:
            sink.seek(0)
            printed = sink.read().decode("utf-8", "replace").splitlines()[-SHOWN_LINES:]
            raise ExportError(f"{what} failed", received="\n            ".join([cause_of(error), *printed])) from error


@contextlib.contextmanager
def _redirected(sink: int) -> Generator[None]:
    """File descriptors 1 and 2, which C++ writes to."""
    saved = [os.dup(1), os.dup(2)]
    try:
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        yield
    finally:
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


@contextlib.contextmanager
def _text_redirected() -> Generator[None]:
    """`sys.stdout` and `sys.stderr`, which may not be the descriptors (under a test runner, in a notebook)."""
    with (
        Path(os.devnull).open("w", encoding="utf-8") as sink,
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
    ):
        yield


@contextlib.contextmanager
def _quiet_logging() -> Generator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
