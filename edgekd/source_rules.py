"""What only a look into the data's files can tell: whether they have the columns, classes and splits that are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekd.errors import DataError, MissingBackend, one_line
from edgekd.recipe_rules import Problem, readers

if TYPE_CHECKING:
    from edgekd.recipe import Recipe


def source_problems(recipe: Recipe) -> Iterator[Problem]:
    """Opens the sources whose names can be looked up in seconds; those that are not there are told by other rules."""
    for where, reader in readers(recipe):
        if not reader.names_parts():
            continue
        try:
            if all(path.exists() for path in reader.sources()):
                reader.open()
        except (DataError, MissingBackend) as error:
            yield Problem((*where, reader.method_name), one_line(error))
