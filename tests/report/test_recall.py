"""Classes that are never found, told where a good accuracy would hide them."""

from __future__ import annotations

from typing import Any

from edgekd.report.document import Document
from edgekd.report.headline import verdict
from edgekd.report.page import build
from edgekd.report.recall import blind_spots

Json = dict[str, Any]
ONE_CLASS = {
    "macro_f1": 0.494,
    "balanced_accuracy": 0.5,
    "classes_met": 2,
    "never_found": ["rare"],
    "calibration_error": 0.02,
    "worst_classes": [{"name": "rare", "recall": 0.0, "samples": 25, "mistaken_for": "common"}],
}


def student(document: Json) -> Json:
    return next(model for model in document["models"] if model["role"] == "student")


def test_a_network_that_always_answers_one_class_is_not_told_as_a_success(full: Json) -> None:
    for gate in full["gates"]:
        gate.update(passed=True, reason=None)
    assert verdict(Document.parse(full)).tone == "good"
    student(full).update(quality=ONE_CLASS, accuracy={"value": 0.975, "samples": 1000})
    found = verdict(Document.parse(full))
    assert found.tone == "warn" and found.text.startswith(
        "The student never finds 1 class (rare) and answers at chance: its balanced accuracy is 50.0 %, "
        "though 97.5 % of its answers are right. "
    ), found.text
    assert build(Document.parse(full)).verdict == found


def test_a_file_is_told_of_where_it_misses_more_than_its_network(full: Json) -> None:
    student(full)["quality"] = {**ONE_CLASS, "balanced_accuracy": 0.9, "never_found": []}
    files = [artifact for artifact in full["artifacts"] if artifact["model"] == "student"]
    files[0]["quality"] = {**ONE_CLASS, "balanced_accuracy": 0.9, "never_found": ["a", "b", "c", "d"], "classes_met": 9}
    (told,) = blind_spots(Document.parse(full))
    assert told.startswith(f"{files[0]['path']} never finds 4 classes (a, b, c and 1 more), though ")


def test_an_earlier_report_says_nothing(full: Json) -> None:
    assert blind_spots(Document.parse(full)) == []
