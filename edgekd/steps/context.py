"""What every step needs: the recipe, the store, and where to report progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekd.progress import Progress
from edgekd.recipe import Recipe
from edgekd.store import Store


@dataclass(frozen=True)
class Context:
    """One run's surroundings.

    Attributes:
        recipe: the validated recipe.
        raw: the recipe as written, for manifests and reports.
        store: where results are kept.
        progress: where progress is shown.
    """

    recipe: Recipe
    raw: dict[str, Any]
    store: Store
    progress: Progress
