"""The search itself, on real digits: what it reads, that it survives a kill, and the run of the winner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekd.data.arrays import ImageData
from edgekd.errors import RecipeError
from edgekd.progress import QUIET, Progress
from edgekd.recipe import LoadedRecipe, load_recipe
from edgekd.tune import search, tune
from edgekd.tune.study import JOURNAL
from edgekd.tune.worker import Job

from .conftest import write

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgekd.cli", *map(str, arguments)]


def lines(folder: Path, word: str) -> int:
    path = folder / JOURNAL
    return path.read_text().count(word) if path.exists() else 0


def test_no_trial_reads_the_test_split(
    loaded: LoadedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []
    indices = ImageData.indices

    def watched(data: ImageData, split: str) -> object:
        found = indices(data, split)  # pyright: ignore
        asked.append((split, len(found)))
        return found

    monkeypatch.setattr(ImageData, "indices", watched)
    job = Job(loaded, tmp_path / "search", tmp_path / "store", quiet=True)
    found = search(job, QUIET)
    assert {row["state"] for row in found["trials"]} == {"complete"} and len(found["trials"]) == 3
    assert ("train", 70) in asked and "validation" in {split for split, _ in asked}
    assert not [size for split, size in asked if split == "test" and size]
    evaluations = [json.loads(path.read_text()) for path in (tmp_path / "store" / "evaluation").glob("*/entry.json")]
    assert [entry["info"]["samples"] for entry in evaluations] == [0]  # the teacher's, on data without a test split
    first = found["trials"][0]["values"]
    assert first["distill.losses.kl.weight"] == first["distill.losses.ce.weight"] == 0.5
    assert "\x1b" not in capsys.readouterr().err

    asked.clear()
    journal = (tmp_path / "search" / JOURNAL).read_bytes()
    assert search(job, QUIET) == found
    assert (tmp_path / "search" / JOURNAL).read_bytes() == journal
    more = search(Job(loaded, tmp_path / "search", tmp_path / "store", limit=4, quiet=True), QUIET)
    assert more["trials"][:3] == found["trials"] and len(more["trials"]) == 4
    late = Job(loaded, tmp_path / "search", tmp_path / "store", limit=9, deadline=time.time() - 1, quiet=True)
    assert search(late, QUIET) == more


def test_killed_and_continued_by_two_workers_then_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL for the parent while a trial trains; its workers follow; the next call finishes and runs the winner."""
    recipe = write(tmp_path, trials=4)
    arguments = command("tune", recipe, "--workers", 2, "--out", tmp_path / "run", "--json")
    folder = tmp_path / "run" / "search"
    first = subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not lines(folder, '"values"') and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert lines(folder, '"values"') and not (tmp_path / "run" / "best.yaml").exists()

    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr and "\r" not in done.stderr and "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    found = document["search"]
    assert [row["state"] for row in found["trials"]].count("complete") == 4 == len(found["trials"])
    values = [json.dumps(row["values"]) for row in found["trials"]]
    assert len(set(values)) == 4
    best = load_recipe(tmp_path / "run" / "best.yaml").recipe
    assert best.search is None and best.distill is not None
    row = next(row for row in found["trials"] if row["number"] == found["best"])
    assert (
        best.distill.model_dump(mode="json")["losses"][1]["kl"]["temperature"]
        == (row["values"]["distill.losses.kl.temperature"])
    )
    assert "## Search" in (tmp_path / "run" / "report.md").read_text()
    assert not (folder / "trials").exists()

    journal, store = (folder / JOURNAL).read_bytes(), tmp_path / ".store"
    again = tune(load_recipe(recipe), tmp_path / "run", store, Progress())
    assert again.document is not None and again.document["search"] == found
    told = capsys.readouterr().err
    assert "the best trial" in told and "trial 1:" not in told and "training" not in told and "distilling\n" not in told
    assert (folder / JOURNAL).read_bytes() == journal


def test_without_a_search_section(tmp_path: Path, loaded: LoadedRecipe) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(loaded.path.read_text().partition("search:")[0])
    with pytest.raises(RecipeError, match="no search section"):
        tune(load_recipe(path), tmp_path / "run", tmp_path / "store", QUIET)
