"""Errors of other libraries: their cause, on one line."""

from __future__ import annotations

from edgekd.errors import cause_of


def raised(text: str, cause: Exception | None = None) -> Exception:
    try:
        raise RuntimeError(text) from cause
    except RuntimeError as error:
        return error


def test_the_first_of_a_chain_is_the_cause() -> None:
    error = raised("advice\nand more", raised("Error when translating a node", KeyError("no function for erfinv")))
    assert cause_of(error) == "KeyError: 'no function for erfinv'"


def test_colours_and_further_lines_are_left_out() -> None:
    assert (
        cause_of(raised("\x1b[96mThis is\x1b[0m step 3\n\ndef forward(self):\n  graph"))
        == "RuntimeError: This is step 3"
    )


def test_what_says_nothing_has_its_name() -> None:
    assert cause_of(AssertionError()) == "AssertionError"
    assert len(cause_of(raised("x" * 5000))) == 300
