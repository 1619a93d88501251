from __future__ import annotations

import logging
import os
import sys
import warnings

import pytest

from edgekd.errors import ExportError
from edgekd.export.silence import silenced


def test_nothing_gets_through_and_everything_is_restored(capfd: pytest.CaptureFixture[str]) -> None:
    with silenced("a step"):
        print("python")
        os.write(1, b"descriptor 1\n")
        os.write(2, b"descriptor 2\n")
        print("error", file=sys.stderr)
        logging.getLogger("converter").warning("log")
        warnings.warn("look", stacklevel=1)
    found = capfd.readouterr()
    assert (found.out, found.err) == ("", "")
    print("after")
    os.write(2, b"after\n")
    assert capfd.readouterr() == ("after\n", "after\n")


def test_a_failure_shows_what_was_printed() -> None:
    message = r"a step failed(.|\n)*no such operator(.|\n)*from C\+\+"
    with pytest.raises(ExportError, match=message), silenced("a step", RuntimeError):
        os.write(2, b"from C++\n")
        raise RuntimeError("no such operator\nand a trace")


def test_other_exceptions_pass() -> None:
    with pytest.raises(KeyboardInterrupt), silenced("a step", RuntimeError):
        raise KeyboardInterrupt
