"""What every step needs: the recipe, the store, and where to report progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgekd.progress import Progress
from edgekd.recipe import Recipe
from edgekd.store import Store

if TYPE_CHECKING:
    from edgekd.compress.fold import Program


@dataclass(frozen=True)
class Context:
    """One run's surroundings.

    Attributes:
        recipe: the validated recipe.
        raw: the recipe as written, for manifests and reports.
        store: where results are kept.
        progress: where progress is shown.
        programs: folded networks of this process by weights digest, so that formats share captured graphs.
    """

    recipe: Recipe
    raw: dict[str, Any]
    store: Store
    progress: Progress
    programs: dict[str, Program] = field(default_factory=dict["str", "Program"])
