"""Paths of a search space: where they lead in a recipe, and whether every value is valid there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from edgekd.errors import nearest
from edgekd.recipe_rules import Problem
from edgekd.tune.section import Searched, SearchSection

ROOTS = ("distill", "student")
"""What may vary between trials: the teacher is trained once, and the data decides the score."""
MOST_CHECKED = 64
"""Whole numbers of a range that are tried one by one; of a longer range only the ends are."""
Checker = Callable[[dict[str, Any]], "list[Problem]"]


class PathError(ValueError):
    """A path that leads nowhere in the recipe."""


def put(node: Any, path: str, value: Any) -> Any:
    """A copy of a recipe's YAML with `value` at `path`; a method given by name alone becomes a mapping.

    Raises:
        PathError: the path leads nowhere.
    """
    return _put(node, path.split("."), value)


def _put(node: Any, parts: list[str], value: Any) -> Any:
    if not parts:
        return value
    head, *rest = parts
    if isinstance(node, list):
        items = cast(list[Any], node)
        index = _index(items, head)
        inner = rest if head.isdecimal() else [_name(items[index]), *rest]
        return [*items[:index], _put(items[index], inner, value), *items[index + 1 :]]
    if isinstance(node, str) and node != head:
        raise PathError(f"the recipe says '{node}' here, not '{head}'")
    if node is not None and not isinstance(node, str | dict):
        raise PathError(f"the recipe has the value {node!r} before '{head}'")
    inside = cast(dict[str, Any], node) if isinstance(node, dict) else {}
    return {**inside, head: _put(inside.get(head), rest, value)}


def get(node: Any, path: str) -> Any:
    """The value at `path` of a validated recipe's JSON.

    Raises:
        PathError: there is none, e.g. because a searched choice took its place.
    """
    for head in path.split("."):
        if isinstance(node, list):
            items = cast(list[Any], node)
            node = items[_index(items, head)]
            node = node if head.isdecimal() or not isinstance(node, dict) else next(iter(cast(Any, node).values()))
        elif isinstance(node, dict) and head in node:
            node = cast(dict[str, Any], node)[head]
        else:
            raise PathError(f"there is no '{head}' here")
    return node


def _name(item: Any) -> str:
    return str(next(iter(cast(dict[Any, Any], item)), "") if isinstance(item, dict) else item)


def _index(items: list[Any], head: str) -> int:
    """Position of the item that `head` names: by its number, or by its method (`kl`, then `kl_2`)."""
    names = [_name(item) for item in items]
    terms = [name if (seen := names[:at].count(name)) == 0 else f"{name}_{seen + 1}" for at, name in enumerate(names)]
    if head in terms:
        return terms.index(head)
    if head.isdecimal() and int(head) < len(items):
        return int(head)
    raise PathError(f"there is no '{head}' in this list{nearest(head, terms)} (accepted: {', '.join(terms)})")


def assignments(path: str, searched: Searched, value: Any) -> dict[str, Any]:
    """What one drawn value sets: its own key, and the complement's."""
    if searched.complement is None:
        return {path: value}
    return {path: value, searched.complement: round(1 - value, 12)}


def applied(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's YAML with every value at its path, and without the search itself."""
    changed: Any = {key: item for key, item in raw.items() if key != "search"}
    for path, value in values.items():
        changed = put(changed, path, value)
    return changed


def space_problems(section: SearchSection, raw: Mapping[str, Any], check: Checker) -> Iterator[Problem]:
    """Every mistake in a search space.

    Args:
        section: the space.
        raw: the recipe's YAML.
        check: the mistakes in a recipe's YAML; those that the recipe has without the search are not repeated.
    """
    if raw.get("distill") is None:
        yield Problem(("search",), "there is nothing to search without a distill section")
        return
    known = set(check(applied(raw, {})))
    found: list[Problem] = []
    written = list(section.space) + [each.complement for each in section.space.values() if each.complement]
    for path, searched in section.space.items():
        where = ("search", "space", path)
        for target in [path, *filter(None, [searched.complement])]:
            root = target.partition(".")[0]
            if root not in ROOTS:
                accepted = f"{nearest(root, ROOTS)} (accepted: {', '.join(ROOTS)})"
                found.append(Problem(where, f"'{root}' is not searched{accepted}"))
                break
            if any(target.startswith(f"{other}.") for other in written) or written.count(target) > 1:
                found.append(Problem(where, f"'{target}' is already set by another searched key"))
                break
        else:
            found += _value_problems(where, searched, raw, lambda changed: set(check(changed)) - known)
    if not found:
        firsts = [assignments(path, searched, tried(searched)[0]) for path, searched in section.space.items()]
        together = {path: value for values in firsts for path, value in values.items()}
        new = set(check(applied(raw, together))) - known
        found += [Problem(("search", "space"), f"with {together}: {each.dotted}: {each.message}") for each in new]
    yield from found


def _value_problems(
    where: tuple[str, str, str], searched: Searched, raw: Mapping[str, Any], check: Callable[[Any], set[Problem]]
) -> Iterator[Problem]:
    """The first invalid value of one key."""
    values = tried(searched)
    found: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            new = check(applied(raw, assignments(where[2], searched, value)))
        except PathError as error:
            yield Problem(where, str(error))
            return
        if new:
            first = min(new, key=lambda problem: (problem.dotted, problem.message))
            found[index] = f"{first.dotted}: {first.message}"
    if found:
        index, message = next(iter(found.items()))
        yield Problem(where, f"with {values[index]!r}: {message} ({len(found)} of {len(values)} values tried fail)")


def tried(searched: Searched) -> list[Any]:
    """The values that stand for all: every choice; both ends of a range, and what is between whole numbers."""
    if searched.choices is not None:
        return list(searched.choices)
    low, high = searched.low, searched.high
    if isinstance(low, int) and isinstance(high, int) and high - low < MOST_CHECKED:
        return list(range(low, high + 1))
    return [low, high]


def whole_keys(search: SearchSection, raw: Mapping[str, Any], validate: Callable[[Any], Any]) -> set[str]:
    """Keys whose ranges are of whole numbers: those whose lowest value stays an integer in the validated recipe."""
    found: set[str] = set()
    for path, searched in search.space.items():
        if searched.bounds is not None:
            written = validate(applied(raw, assignments(path, searched, searched.low))).model_dump(mode="json")
            found.update({path} if isinstance(get(written, path), int) else ())
    return found
