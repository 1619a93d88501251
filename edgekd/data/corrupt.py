"""What is said about images that cannot be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekd.data.reader import Reader
from edgekd.errors import DataError

SHOWN = 20  # named in one message; the facts name all of them


@dataclass(frozen=True)
class Corrupt:
    """An image that cannot be decoded, and why."""

    origin: str
    reason: str


def refuse(reader: Reader, corrupt: Sequence[Corrupt]) -> None:
    """Raises a DataError that names them, when there are any."""
    if not corrupt:
        return
    lines = [f"{reader.place(entry.origin)} ({entry.reason})" for entry in corrupt[:SHOWN]]
    if len(corrupt) > SHOWN:
        lines.append(f"and {len(corrupt) - SHOWN} more")
    raise DataError(
        f"{_images(len(corrupt))} cannot be decoded",
        where="\n            ".join(lines),
        hint="repair or remove what is named, or set on_corrupt: skip in the recipe's data section",
    )


def skipped(corrupt: Sequence[Corrupt]) -> list[str]:
    """The warning that names them, when there are any."""
    if not corrupt:
        return []
    names = ", ".join(f"{entry.origin} ({entry.reason})" for entry in corrupt[:SHOWN])
    more = f" and {len(corrupt) - SHOWN} more" if len(corrupt) > SHOWN else ""
    return [f"skipped {_images(len(corrupt))} that cannot be decoded: {names}{more}"]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
