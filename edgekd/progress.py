"""Progress on stderr: a bar on a terminal, plain lines elsewhere. Silent below two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
SILENT_SECONDS = 2.0
LINE_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """Reports progress and remarks to the user.

    Attributes:
        quiet: prints nothing but warnings.
    """

    quiet: bool = False

    def note(self, text: str) -> None:
        """One line about what happens now."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """One line that the user should act on; never silenced."""
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Called after each epoch of a training with its row of the history; a search stops a poor one here."""

    def track(self, iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """Passes the items on and shows how far they are.

        Args:
            iterable: what to go through.
            total: the number of items, or None when it is not known.
            label: what is going on, e.g. `"distil: epoch 3/10"`.
        """
        if self.quiet:
            yield from iterable
        elif sys.stderr.isatty():
            yield from _bar(iterable, total, label)
        else:
            yield from _lines(iterable, total, label)


def _bar(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(iterable, total=total, description=label)


def _lines(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    start = shown = time.monotonic()
    spoke = False
    count = 0
    for count, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        if now - start >= SILENT_SECONDS and (not spoke or now - shown >= LINE_EVERY_SECONDS):
            of = f"/{total}" if total is not None else ""
            print(f"{label}: {count}{of} ({now - start:.0f} s)", file=sys.stderr, flush=True)
            shown, spoke = now, True
    if spoke:
        print(f"{label}: done, {count} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


QUIET = Progress(quiet=True)
