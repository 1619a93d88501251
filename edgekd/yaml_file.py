"""YAML that a user wrote: read within limits, so that no text hangs the reader or fills the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import yaml

from edgekd.errors import EdgekdError

# Recipes and profiles have some dozens of lines; what is larger is another file, or means harm.
LARGEST_BYTES = 1_000_000
LARGEST_VALUES = 20_000
LONGEST_NUMBER = 40
# PyYAML's constructors raise these for values that the grammar allows: `!!int x`, a number of 5,000 digits, a key that
# is a list.
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, RecursionError)


def read_yaml(path: Path, what: str, kind: type[EdgekdError], hint: str | None = None) -> tuple[Any, Any]:
    """The node tree, which knows lines, and the values; both None for an empty text.

    Args:
        path: the file.
        what: it is, for messages: `"recipe"`.
        kind: the error to raise.
        hint: what to do where the file cannot be read.

    Raises:
        EdgekdError: the file cannot be read, is no YAML, or is larger or deeper than any of its kind.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise kind(f"the {what} cannot be read: {error}", where=path, hint=hint) from error
    if len(content) > LARGEST_BYTES:
        raise kind(f"the {what} is too large", where=path, accepted=f"up to {LARGEST_BYTES} bytes of YAML")
    try:
        node = cast(Any, yaml.SafeLoader(text)).get_single_node()
        size = 0 if node is None else _values(node, {})
    except yaml.YAMLError as error:
        raise kind(f"the {what} is not valid YAML: {error}", where=path) from error
    except RecursionError as error:
        raise kind(f"the {what} is nested too deeply, or holds itself by an alias", where=path) from error
    if size > LARGEST_VALUES:
        raise kind(f"the {what}'s aliases stand for too many values", where=path, accepted=f"up to {LARGEST_VALUES}")
    try:
        return node, yaml.safe_load(text)
    except (yaml.YAMLError, *UNREADABLE) as error:
        reason = str(error).splitlines()[0] if isinstance(error, UNREADABLE) else error
        raise kind(f"the {what} is not valid YAML: {reason}", where=path) from error


def _values(node: Any, known: dict[int, int]) -> int:
    """How many values the node stands for, each alias counted as what it repeats; one that holds itself recurses."""
    if id(node) not in known:
        inner: list[Any] = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in inner for part in pair]
        elif isinstance(node, yaml.ScalarNode) and (problem := _unusable(node)):
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=cast(Any, node).start_mark)
        known[id(node)] = 1 + sum(_values(part, known) for part in inner)
    return known[id(node)]


def _unusable(node: yaml.ScalarNode) -> str | None:
    """Why nothing can be made of a single value."""
    text: str = cast(Any, node).value
    if node.tag.endswith(":int") and len(text) > LONGEST_NUMBER:
        return f"a number of {len(text)} digits"
    strange = next((letter for letter in text if letter == "\0" or "\ud800" <= letter <= "\udfff"), None)
    return strange and f"U+{ord(strange):04X}, which no name and no text can hold"
