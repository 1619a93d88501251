"""What several formats derive from the same program is derived once, and dies with the program."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

T = TypeVar("T")
_KEPT: dict[int, dict[str, Any]] = {}


def once(program: Program, key: str, build: Callable[[], T]) -> T:
    """`build()` for the first call with this very program and key, its result afterwards.

    A program is never changed after folding, so its identity stands for its content.
    """
    kept = _KEPT.get(id(program))
    if kept is None:
        kept = _KEPT[id(program)] = {}
        weakref.finalize(program, _KEPT.pop, id(program), None)
    if key not in kept:
        kept[key] = build()
    return cast(T, kept[key])
