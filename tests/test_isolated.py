"""Calls in a process of their own: answers, errors, and deaths by a signal."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from edgekd.errors import ExportError, ModelError, StoreError
from edgekd.isolated import isolated
from edgekd.store import key_of
from edgekd.target import Target


def test_the_answer_comes_back_from_another_process() -> None:
    assert isolated("python", os.getppid) == os.getpid()
    assert np.array_equal(isolated("numpy", np.arange, 3), [0, 1, 2])


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_death_names_the_signal(name: str) -> None:
    with pytest.raises(ExportError, match=f"the runtime was killed by {name}"):
        isolated("the runtime", signal.raise_signal, signal.Signals[name])


def test_what_it_raises(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExportError, match="TypeError: Object of type set is not JSON serializable"):
        isolated("json", key_of, {"a": {1}})
    with pytest.raises(ExportError, match="ended with exit code 3"):
        isolated("python", os._exit, 3)
    assert capfd.readouterr() == ("", "")


def test_an_error_of_this_project_keeps_its_kind_and_words() -> None:
    with pytest.raises(Exception, match="there is no target 'raspbery-pi-5'; did you mean 'raspberry-pi-5'") as here:
        Target.load("raspbery-pi-5")
    with pytest.raises(type(here.value)) as there:
        isolated("python", Target.load, "raspbery-pi-5")
    assert str(there.value) == str(here.value)
    assert not isinstance(there.value, ModelError | StoreError)


def test_printing_is_not_the_answer() -> None:
    assert isolated("python", print, "hello") is None
