"""A finished search stays in the reports of the runs that it belongs to, and of no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekd.models import ModelSection
from edgekd.pipeline import run
from edgekd.progress import QUIET, Progress
from edgekd.recipe import LoadedRecipe, load_recipe
from edgekd.steps.context import Context
from edgekd.store import Store
from edgekd.target import Target
from edgekd.tune import tune
from edgekd.tune.found import FOLDER, FOUND, subject

from .conftest import write

FOREIGN = "the report leaves the search in"


def report(recipe: Path, out: Path) -> tuple[dict[str, Any] | None, str]:
    """The search part of a run's document, and the run's Markdown."""
    loaded = load_recipe(recipe)
    progress = Progress()
    context = Context(loaded.recipe, loaded.raw, Store(out.parent / ".store", progress.warn), progress)
    result = run(context, out, [Target.load("host")])
    assert result.document is not None
    return result.document["search"], result.reports["markdown"].read_text()


def changed(recipe: Path, **sections: Any) -> Path:
    """The recipe with other top-level sections."""
    path = recipe.with_name("changed.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(recipe.read_text()), **sections}, sort_keys=False))
    return path


def test_where_the_student_starts_is_part_of_what_was_searched(loaded: LoadedRecipe) -> None:
    recipe = loaded.recipe
    section = ModelSection.model_validate({**recipe.student.model_dump(), "init": "alternate"})
    other = recipe.model_copy(update={"student": section})
    assert subject(recipe, "data", []) != subject(other, "data", [])


def test_runs_after_a_search_keep_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, out = write(tmp_path, trials=2), tmp_path / "run"
    raw = yaml.safe_load(recipe.read_text())
    winning = tune(load_recipe(recipe), out, tmp_path / ".store", QUIET).document
    assert winning is not None
    told = winning["search"]
    assert told["networks"] == "winner" and told["finished"].startswith("20")

    found, text = report(out / "best.yaml", out)  # the winner's recipe, which has no search section
    assert found == told and "trained anew with its values" in text

    # The recipe's own values, which the first trial had: whether or not these won, here they did not.
    kept = out / FOLDER / FOUND
    record = json.loads(kept.read_text())
    kept.write_text(json.dumps({**record, "winner": "another trial"}))
    found, text = report(recipe, out)
    assert found == {**told, "networks": "recipe"}
    assert f"2 trials, the last one on {told['finished']}: 2 complete." in text and "## Search" in text
    assert "those that the recipe itself gives" in text
    assert FOREIGN not in capsys.readouterr().err

    more = changed(recipe, search={**raw["search"], "trials": 9}, benchmark={"runs": 4, "threads": [1]})
    assert report(more, out)[0] == found  # neither decides what the trials scored

    for sections in (
        {"seed": 1},
        {"search": {**raw["search"], "fraction": 0.4}},
        {"distill": {**raw["distill"], "losses": [{"ce": {}}, {"kl": {"temperature": 2}}]}},
    ):
        found, text = report(changed(recipe, **sections), out)
        assert found is None and "## Search" not in text, sections
        assert FOREIGN in capsys.readouterr().err

    kept.write_text(kept.read_text()[:-20])
    assert report(recipe, out)[0] is None
    assert f"{kept} is damaged; edgekd tune RECIPE writes it again" in capsys.readouterr().err
