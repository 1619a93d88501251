"""What can go wrong, with an exit code each.

    EdgekdError            1   anything below, and failures with no better name
    ├── RecipeError        2   the recipe, or a command-line option, is wrong
    ├── DataError          3   a data source is missing, corrupt or inconsistent
    ├── ModelError         4   a model cannot be built, or a checkpoint does not fit it
    ├── MissingBackend     5   an optional package is not installed
    ├── TargetError        6   a target does not exist, or an artifact does not fit it
    ├── StoreError         7   a stored file is damaged, or cannot be written (disk full, no permission)
    ├── CompressError      8   a model cannot be quantized as asked
    ├── ExportError        9   a file format cannot express the model, or a file is invalid; of a run: a file failed
    ├── BenchmarkError    10   the measuring agent failed; of a run: of every file that failed, its runtime did
    └── GateFailure       11   everything was built, and a parity, accuracy, latency or memory gate was breached

Ctrl-C exits with 130, as shells do. Every message says what is wrong, where in the user's input, what was received,
what is accepted, and what to do next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
BLAMED = re.compile(r'The following call raised this error:\s+File "(.+)", line (\d+), in .+\n\s*(.+)')


class EdgekdError(Exception):
    """A user-facing error; printed without a traceback.

    Args:
        message: what is wrong, one sentence.
        where: the place in the user's input (file, recipe path, layer name).
        received: the offending value.
        accepted: what would have been valid.
        hint: the next command or edit to try.

    Attributes:
        document: the report document, where one was made before the run failed.
    """

    exit_code = 1
    document: dict[str, Any] | None = None

    def __init_subclass__(cls, *, exit_code: int = 1) -> None:
        cls.exit_code = exit_code

    def __init__(
        self,
        message: str,
        *,
        where: object = None,
        received: object = None,
        accepted: object = None,
        hint: str | None = None,
    ) -> None:
        parts = [message]
        for label, value in (("where", where), ("received", received), ("accepted", accepted), ("next", hint)):
            if value is not None:
                parts.append(f"  {label + ':':<10}{value}")
        super().__init__("\n".join(parts))


class RecipeError(EdgekdError, exit_code=2):
    """The recipe, or a command-line option, is wrong."""


class DataError(EdgekdError, exit_code=3):
    """A data source is missing, corrupt or inconsistent."""


class ModelError(EdgekdError, exit_code=4):
    """A model cannot be built, or a checkpoint does not fit it."""


class MissingBackend(EdgekdError, exit_code=5):
    """An optional package is not installed; the message carries the pip line."""


class TargetError(EdgekdError, exit_code=6):
    """A target does not exist, or an artifact does not fit it."""


class StoreError(EdgekdError, exit_code=7):
    """A stored file is damaged, or cannot be written."""


class CompressError(EdgekdError, exit_code=8):
    """A model cannot be quantized as asked."""


class ExportError(EdgekdError, exit_code=9):
    """A file format cannot express the model, or a file is invalid."""


class BenchmarkError(EdgekdError, exit_code=10):
    """The measuring agent failed."""


class GateFailure(EdgekdError, exit_code=11):
    """A gate was breached; what was made is kept for inspection."""


FILE_ERRORS = (CompressError, ExportError, BenchmarkError, MissingBackend)
"""What a network, a format or a runtime is to blame for: they end one file, where others would hit every file."""


def one_line(error: Exception | str) -> str:
    """A multi-line message of `EdgekdError` as one line of a listing."""
    return "; ".join(" ".join(line.split()) for line in str(error).split("\n"))


def cause_of(error: BaseException) -> str:
    """What an exception of another library is about, as one line of at most 300 characters.

    Of a chain, the exception that it began with: converters wrap it in their own, which hold colours, advice and whole
    graphs. Where torch says which line of the network is to blame, that line.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    text = COLOURS.sub("", str(error)).strip()
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    first = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    place = BLAMED.search(text)
    return first[:300] + (f" ({place[1].rpartition('/')[2]}:{place[2]}: {place[3]})" if place else "")


def nearest(word: str, names: Iterable[str]) -> str:
    """`"; did you mean 'kl'?"` for the name nearest to `word`, or an empty string."""
    found = get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""
