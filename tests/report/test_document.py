"""The schema: a good document passes unchanged, a wrong one fails with every mistake named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from edgekd.errors import StoreError
from edgekd.report.document import Document

Json = dict[str, Any]


def refused(document: Json) -> str:
    with pytest.raises(StoreError) as caught:
        Document.parse(document)
    return str(caught.value)


def test_realistic_documents_pass(full: Json, unmeasured: Json, failing: Json) -> None:
    for document in (full, unmeasured, failing):
        before = copy.deepcopy(document)
        assert Document.parse(document).name == before["name"]
        assert document == before


def test_facts_of_the_stages_are_kept(full: Json) -> None:
    full["data"]["corrupt"] = ["a.jpg"]
    full["artifacts"][0]["measurement"]["page_faults"] = 12
    parsed = json.loads(Document.parse(full).model_dump_json())
    assert parsed["data"]["corrupt"] == ["a.jpg"]
    assert parsed["artifacts"][0]["measurement"]["page_faults"] == 12


def test_every_mistake_is_named_with_its_path(full: Json) -> None:
    full["models"][1]["accuracy"]["value"] = 87.3
    full["artifacts"][2]["speed"] = 1
    del full["targets"][0]["title"]
    message = refused(full)
    for path in ("models.1.accuracy.value", "artifacts.2.speed", "targets.0.title"):
        assert path in message


@pytest.mark.parametrize("field", ["accuracy", "parity", "measurement"])
def test_a_missing_figure_needs_a_reason(full: Json, field: str) -> None:
    full["artifacts"][0][field] = None
    assert f"'{field}' is null" in refused(full)
    full["artifacts"][0]["not_measured"] = {field: "the device was off"}
    assert Document.parse(full).artifacts[0].reason(field) == "the device was off"


def test_an_undecided_gate_needs_a_reason(full: Json) -> None:
    full["gates"][0].update(passed=None, value=None, reason=None)
    assert "gates.0" in refused(full)


def test_an_artifact_of_an_unlisted_target(full: Json) -> None:
    full["artifacts"][0]["target"] = "toaster"
    assert "toaster" in refused(full)


def test_what_json_cannot_hold(full: Json) -> None:
    full["artifacts"][0]["notes"] = {"ratio": float("nan")}
    assert "JSON" in refused(full)
    full["artifacts"][0]["notes"] = {"path": object()}
    assert "JSON" in refused(full)


def test_another_version(full: Json) -> None:
    full["report_version"] = 2
    assert "report_version" in refused(full)


def test_no_teacher_no_temperatures(full: Json) -> None:
    full["temperatures"] = None
    assert Document.parse(full).temperatures is None


def test_warnings_are_told_once(full: Json) -> None:
    full["warnings"] = [*full["data"]["calibration"]["warnings"], "another"]
    assert Document.parse(full).all_warnings() == [*full["data"]["calibration"]["warnings"], "another"]
