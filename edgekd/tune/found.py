"""What a finished search leaves in its folder, so that every later run of its recipe can report it.

A search belongs to a run whose recipe has everything that the trials' scores depended on: the search section (but for
its number of trials), the student, `distill`, the seed, the data and the teachers. The winner's recipe, which has the
winner's values in place of the search section, belongs to it as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.models import model_key
from edgekd.store import key_of, write_atomically

if TYPE_CHECKING:
    from edgekd.recipe import Recipe
    from edgekd.steps.networks import FloatModel

FOLDER = "search"
"""The search's folder in the run's."""
FOUND = "found.json"


def subject(recipe: Recipe, data: str, teachers: Sequence[FloatModel]) -> dict[str, Any]:
    """What decides how good the recipe's student becomes.

    Args:
        recipe: with the values that the student is trained with.
        data: digest of what it is trained on.
        teachers: the recipe's, trained.
    """
    distill = recipe.distill
    return {
        "student": model_key(recipe.student),
        "start": recipe.student.model_dump(mode="json", include={"init", "prune"}),
        "distill": None if distill is None else distill.model_dump(mode="json"),
        "seed": recipe.seed,
        "data": data,
        "teachers": [teacher.key() for teacher in teachers],
    }


def keep(
    folder: Path,
    found: dict[str, Any],
    recipe: Recipe,
    winner: Recipe,
    data: str,
    teachers: Sequence[FloatModel],
) -> None:
    """Writes what a finished search found, and which recipes it belongs to.

    Args:
        folder: the search's.
        found: the report document's `search` part.
        recipe: the one that was searched.
        winner: the same with the winner's values.
        data: digest of the whole data.
        teachers: the recipe's, trained.
    """
    record = {
        "recipe": _searched(recipe, subject(recipe, data, teachers)),
        "winner": key_of(subject(winner, data, teachers)),
        "found": found,
    }
    write_atomically(folder / FOUND, json.dumps(record, indent=1))


def found_for(
    out: Path, recipe: Recipe, data: str, teachers: Sequence[FloatModel], note: Callable[[str], None]
) -> dict[str, Any] | None:
    """The report document's `search` part for a run of `recipe` into `out`; None without a search that belongs to it.

    Args:
        out: the run's folder.
        recipe: the run's.
        data: digest of the run's data.
        teachers: the run's.
        note: told, in one line, why a search that is there is left out.
    """
    path = out / FOLDER / FOUND
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known, winner, found = record["recipe"], record["winner"], record["found"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        note(f"the report leaves the search out: {path} is damaged; edgekd tune RECIPE writes it again")
        return None
    own = subject(recipe, data, teachers)
    wins = key_of(own) == winner
    if not (wins if recipe.search is None else _searched(recipe, own) == known):
        note(f"the report leaves the search in {path.parent} out: it was of other data, teachers or values")
        return None
    return {**found, "networks": "winner" if wins else "recipe"}


def _searched(recipe: Recipe, own: dict[str, Any]) -> str:
    """Digest of a recipe with its search section; more trials make no other search."""
    search = recipe.search
    return key_of({**own, "search": None if search is None else search.model_dump(mode="json", exclude={"trials"})})
