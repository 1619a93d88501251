"""Thousands of spoilt recipes: each is correct or refused with an error of its own, and soon."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgekd
from edgekd.errors import RecipeError
from edgekd.recipe import load_recipe

from .conftest import RECIPE

SHIPPED = [path.read_text() for path in sorted((Path(edgekd.__file__).parent / "recipes").glob("*.yaml"))] + [RECIPE]
TOKENS = [
    *("~", "null", "true", "-1", "0", "1", "1e999", ".inf", "-.inf", ".nan", "0x7fffffffffffffffffff", "9" * 5000),
    *("''", "'  '", '"a\\0b"', '"\\ud800"', "\u202e", "~nosuchuser/x", "/dev/zero", "../../x", "${HOME}", "${NO_SUCH}"),
    *(
        "[]",
        "{}",
        "[[]]",
        "{a: b}",
        "[1, two, ~]",
        "{1: 2}",
        "? [a]",
        "*x",
        "&x [*x]",
        "<<: {a: 1}",
        "- - -",
        "a: b: c",
    ),
    *("!!int x", "!!timestamp x", "!!float x", "!!bool x", "!!binary x", "!!set {a}", "!!python/name:os.system x"),
    *("2026-01-01", "12:30:45", "0o17", "1_000", "[" * 600, "host", "kl", "ce: {weight: -1}", "{from: 1, to: .inf}"),
]
VALUES: list[Any] = [
    *(None, True, -1, 0, 3, 10**30, 0.5, -2.5, float("inf"), float("nan"), "", " ", "x", "x" * 3000, "a\0b", "host"),
    *([], {}, [None], [[[]]], {"": ""}, {"a": {"b": []}}, {1: 2}, list(range(300)), "kl", "layer1", "0.5", "/dev/zero"),
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in the tree with a key or index into it."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def spoil_tree(tree: Any, chance: random.Random) -> None:
    container, key = chance.choice(places(tree) or [(tree, None)])
    how = chance.choice(["replace", "replace", "delete", "swap", "rename", "wrap"])
    if key is None:
        return
    if how == "replace":
        container[key] = chance.choice(VALUES)
    elif how == "delete":
        del container[key]
    elif how == "wrap":
        container[key] = (
            [container[key]] if chance.random() < 0.5 else {chance.choice(["x", "from", 3]): container[key]}
        )
    elif how == "swap":
        other, place = chance.choice(places(tree))
        if not isinstance(container[key], (dict, list)):  # nothing is put into itself
            other[place] = container[key]
    elif isinstance(container, dict):
        container[chance.choice(["", "x", 7, None, f"{key}s"])] = container.pop(key)


def spoil_text(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    number = chance.randrange(len(lines))
    head, colon, tail = lines[number].partition(":")
    how = chance.choice(["value", "value", "line", "cut", "twice", "indent"])
    if how == "value" and colon:
        lines[number] = f"{head}: {chance.choice(TOKENS)}"
    elif how == "line":
        lines[number] = f"{head[: len(head) - len(head.lstrip())]}{chance.choice(TOKENS)}"
    elif how == "cut":
        lines[number] = lines[number][: chance.randrange(len(lines[number]) + 1)]
    elif how == "twice":
        lines.insert(number, lines[number])
    else:
        lines[number] = " " * chance.randrange(5) + (head + colon + tail).lstrip()
    return "\n".join(lines)


def spoilt(seed: int) -> str:
    """A shipped recipe with up to three things changed."""
    chance = random.Random(seed)
    text = chance.choice(SHIPPED)
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.5:
            text = spoil_text(text, chance)
        else:
            try:
                tree = yaml.safe_load(text)
                spoil_tree(tree, chance)
                text = yaml.safe_dump(tree, sort_keys=False)
            except (yaml.YAMLError, ValueError, AttributeError, TypeError, LookupError, RecursionError):
                continue  # already spoilt beyond what can be written anew
    return text


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "recipe.yaml"


@settings(max_examples=2000, deadline=5000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_spoilt_recipe_is_correct_or_refused(file: Path, seed: int) -> None:
    text = spoilt(seed)
    file.write_text(text, errors="surrogatepass")
    start = time.perf_counter()
    try:
        load_recipe(file)
    except RecipeError as error:
        assert str(error).strip()
    assert time.perf_counter() - start < 5


BOMB = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a0: &a0 [x]\n" + BOMB, "aliases stand for too many values"),
        ("seed: &a [*a]", "holds itself by an alias"),
        ("seed: " + "[" * 500 + "]" * 500, "nested too deeply"),
        ("seed: " + "9" * 5000, "a number of 5000 digits"),
        ("seed: !!int x", "not valid YAML"),
        ("seed: !!timestamp x", "not valid YAML"),
        ('name: "a\\0b"', r"U\+0000, which no name"),
        ("weights: .nan", "weights: give a finite number"),
        ("data: {reader: {image_folder: {path: ~nosuchuser/x}}}", "there is no such user: ~nosuchuser"),
        ("x: " + "y" * 1_000_001, "too large"),
    ],
)
def test_what_once_hung_or_ended_in_a_traceback(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    with pytest.raises(RecipeError, match=expected):
        load_recipe(file)
