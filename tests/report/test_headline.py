"""The sentences at the top: made of the numbers, and honest when they are bad or absent."""

from __future__ import annotations

from typing import Any

from edgekd.report.document import Document
from edgekd.report.headline import findings, headline, verdict

Json = dict[str, Any]


def sentence(document: Json) -> str:
    return headline(Document.parse(document))


def test_full(full: Json) -> None:
    # 0.8731 / 0.9437 = 0.9252; 78042 / 855770 = 0.0912; 0.148 / 0.081 = 1.827
    assert sentence(full) == (
        "The student keeps 92.5 % of its teacher's accuracy (87.31 % against 94.37 %) with 9.1 % of its parameters; "
        "its fastest INT8 file (openvino on x86-avx512-vnni) is 1.83\u00d7 as fast as float32 in the same runtime, "
        "at 87.09 % accuracy."
    )


def test_forgetting(full: Json) -> None:
    full["forgetting"] = [
        {"role": "student", "samples": 1000, "before": 0.9, "after": 0.85},
        {"role": "student_alone", "samples": 1000, "before": 0.9, "after": None},
    ]
    text = " ".join(findings(Document.parse(full)))
    assert "on the old task the student scores 85.0 % after learning the new one and 90.0 % before" in text
    assert "a change of \u22125.0 points (95 % interval" in text
    assert "trained on the new data alone, forgot is not known" in text


def test_several_teachers_are_compared_as_their_ensemble(full: Json) -> None:
    first, *others = full["models"]
    members = [{**first, "role": f"teacher_{number}"} for number in (1, 2)]
    bound = {
        **first,
        "role": "ensemble",
        "name": "mean of teacher_1, teacher_2",
        "history": None,
        "parameters": 1711540,
    }
    full["models"] = [*members, *others, bound]
    assert "keeps 92.5 % of its teacher's accuracy (87.31 % against 94.37 %) with 4.6 % of its" in sentence(full)


def test_findings(full: Json) -> None:
    text = " ".join(findings(Document.parse(full)))
    assert "by +1.37 points" in text and "a gain" in text
    assert "INT8 changes the student's accuracy by \u22120.22 to \u22120.16 points in its 5 verified INT8 files" in text
    assert "quantized teacher, as the alternative, scores 94.01 % and takes 0.803 ms" in text
    assert "The INT8 file for litert on x86-avx512-vnni is no faster than float32 (0.271 ms against 0.263 ms)" in text


def test_int8_slower_everywhere(failing: Json) -> None:
    text = sentence(failing)
    assert (
        "INT8 is not faster than float32 in any runtime timed here (at best 0.66\u00d7, onnxruntime on x86-avx2)"
        in text
    )
    assert "slower than float32 (0.610 ms against 0.400 ms): the float32 file is the better choice" in " ".join(
        findings(Document.parse(failing))
    )


def test_the_fastest_int8_file_may_lose_where_another_wins(full: Json) -> None:
    for row in full["artifacts"][2]["measurement"]["latency"]:
        row["p50_ms"] = 0.05
    assert "(openvino on x86-avx512-vnni) is slower (0.62\u00d7) than float32 in the same runtime" in sentence(full)


def test_a_student_above_its_teacher(full: Json, failing: Json) -> None:
    # 61 % against 60 % on 200 images is no difference; 87.31 % against 80 % on 10000 is one.
    assert "The student matches its teacher's accuracy (61.0 % against 60.0 %)" in sentence(failing)
    full["models"][0]["accuracy"]["value"] = 0.80
    assert "The student exceeds its teacher's accuracy (87.31 % against 80.00 %)" in sentence(full)


def test_distillation_that_gains_nothing(full: Json, failing: Json) -> None:
    assert "200 test images in one run cannot tell this from no change" in findings(Document.parse(failing))[0]
    full["models"][2]["accuracy"]["value"] = 0.90
    assert findings(Document.parse(full))[0].endswith(": a loss.")
    full["models"].pop()
    assert "this baseline was not asked for" in findings(Document.parse(full))[0]


def test_nothing_measured(unmeasured: Json) -> None:
    text = sentence(unmeasured)
    assert text.startswith("The accuracy of the student was not measured (the recipe's reader has no labels); ")
    assert "no INT8 file of it was timed (this machine has no asimd" in text


def test_no_int8_at_all(full: Json) -> None:
    full["artifacts"] = [item for item in full["artifacts"] if item["precision"] == "float32"]
    assert "no INT8 file of the student was made" in sentence(full)


def test_int8_without_a_float_file(full: Json) -> None:
    full["artifacts"] = [item for item in full["artifacts"] if item["precision"] == "int8"]
    assert "no float32 file of the same runtime was" in sentence(full)


def test_no_teacher(full: Json) -> None:
    full["models"] = [item for item in full["models"] if item["role"] == "student"]
    assert (
        "The student reaches 87.31 % test accuracy; its teacher's was not measured (the run has no teacher)"
        in sentence(full)
    )


def test_verdict(full: Json, unmeasured: Json, failing: Json) -> None:
    told = [verdict(Document.parse(document)) for document in (full, unmeasured, failing)]
    assert (
        told[0].text.startswith("5 of 6 gates passed, none failed; 1 could not be decided") and told[0].tone == "warn"
    )
    assert told[1].text.startswith("No gates were set")
    assert told[2].text.startswith("2 of 4 gates failed; 1 could not") and told[2].tone == "bad"
    full["gates"] = full["gates"][:5]
    assert verdict(Document.parse(full)).text == "All 5 gates passed."
    full["gates"] = full["gates"][:1]
    assert verdict(Document.parse(full)).text == "The one gate passed."
