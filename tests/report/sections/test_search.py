"""The section on a search, in both renderings."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from edgekd.errors import StoreError
from edgekd.report import write
from edgekd.report.blocks import Plot
from edgekd.report.document import Document
from edgekd.report.sections.search import section

KEY, DEPTH = "distill.losses.kl.temperature", "student.model.cifar_resnet.depth"


def trial(number: int, state: str, accuracy: float | None, parameters: int | None, **more: Any) -> dict[str, Any]:
    figures = {"accuracy": accuracy, "parameters": parameters, "size_bytes": parameters and 4 * parameters}
    return {"number": number, "state": state, "values": {KEY: 2.5 + number, DEPTH: 8}, **figures, **more}


SEARCH: dict[str, Any] = {
    "objectives": ["accuracy", "parameters"],
    "fraction": 0.2,
    "validation_samples": 400,
    "space": {
        KEY: {"low": 1, "high": 10, "log": True, "complement": "distill.losses.ce.weight"},
        DEPTH: {"choices": [8, 14]},
    },
    "best": 1,
    "importances": {KEY: 0.75, DEPTH: 0.25},
    "front": [0, 1],
    "trials": [
        trial(0, "complete", 0.5, 75_002, seconds=3.0),
        trial(1, "complete", 0.7, 172_218, seconds=4.0),
        trial(2, "complete", 0.4, 172_218, seconds=4.0),
        trial(3, "pruned", None, None, epochs=2),
        trial(4, "fail", None, None, reason="the training <diverged>"),
    ],
}


@pytest.fixture
def searched(full: dict[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(full), "search": copy.deepcopy(SEARCH)}


def test_no_search_no_section(full: dict[str, Any]) -> None:
    assert section(Document.parse(full)) is None


def test_figures_front_and_reasons(searched: dict[str, Any], tmp_path: Path) -> None:
    files = write(searched, tmp_path)
    text = files["markdown"].read_text()
    for expected in (
        "5 trials: 3 complete, 1 stopped early, 1 failed. The best one, trial 2, reached 70.0 %",
        f"| `{KEY}` | 1 to 10, logarithmic, 1 minus it: distill.losses.ce.weight | 3.5 | 75 % |",
        f"| `{DEPTH}` | 8 or 14 | 8 | 25 % |",
        "trial 1: 75.0 k parameters at 50.0 %; trial 2: 172 k parameters at 70.0 %",
        "not measured: the training &lt;diverged&gt;",
        "stopped early (after 2 epochs)",
    ):
        assert expected in text, expected
    assert "<diverged>" not in files["html"].read_text()


def test_every_complete_trial_is_a_mark_and_the_front_is_joined(searched: dict[str, Any]) -> None:
    found = section(Document.parse(searched))
    assert found is not None
    (plot,) = [block for block in found.blocks if isinstance(block, Plot)]
    root = ElementTree.fromstring(plot.wide)
    space = "{http://www.w3.org/2000/svg}"
    marks = [node.get("class", "") for node in root.iter() if node.get("class", "").startswith("mark")]
    assert sorted(marks) == ["mark full s0", "mark full s0", "mark hollow s0"]
    (line,) = root.iter(f"{space}polyline")
    assert len(line.get("points", "").split()) == 2
    labels = [node.text for node in root.iter(f"{space}text") if node.get("class") == "label"]
    assert sorted(map(str, labels)) == ["trial 1", "trial 2"]


def test_importances_that_are_missing_say_why(searched: dict[str, Any], tmp_path: Path) -> None:
    searched["search"] |= {"importances": None, "importances_reason": "3 complete trials are too few"}
    assert "not measured: 3 complete trials are too few" in write(searched, tmp_path)["markdown"].read_text()


def test_a_single_complete_trial(searched: dict[str, Any], tmp_path: Path) -> None:
    searched["search"] |= {"trials": [SEARCH["trials"][1]], "front": [1]}
    assert "1 trials: 1 complete" in write(searched, tmp_path)["markdown"].read_text()


def test_a_misspelt_field_is_refused(searched: dict[str, Any]) -> None:
    searched["search"]["bestt"] = 1
    with pytest.raises(StoreError, match="bestt"):
        Document.parse(searched)
