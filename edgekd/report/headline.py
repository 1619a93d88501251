"""What the run achieved, in sentences made of its numbers and nothing else."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Paragraph
from edgekd.report.compare import SpeedUp, best_latency, slower_than_float, smallest_batch, speed_ups
from edgekd.report.document import Accuracy, Document, Network
from edgekd.report.intervals import difference


def headline(document: Document) -> str:
    """The one sentence at the top: what the student keeps, and what INT8 brings."""
    return f"{_student(document)}; {_int8(document)}."


def verdict(document: Document) -> Paragraph:
    """What the gates say, failures first."""
    total = len(document.gates)
    failed = sum(gate.passed is False for gate in document.gates)
    undecided = sum(gate.passed is None for gate in document.gates)
    if not total:
        return Paragraph("No gates were set: nothing below was held against a limit.", "warn")
    open_part = f"; {undecided} could not be decided, for want of a measurement" if undecided else ""
    if failed:
        return Paragraph(f"{failed} of {_gates(total)} failed{open_part}.", "bad")
    if undecided == total:
        return Paragraph(f"None of {_gates(total)} could be decided, for want of a measurement.", "warn")
    if undecided:
        return Paragraph(f"{total - undecided} of {_gates(total)} passed, none failed{open_part}.", "warn")
    return Paragraph("The one gate passed." if total == 1 else f"All {_gates(total)} passed.", "good")


def _gates(total: int) -> str:
    return "1 gate" if total == 1 else f"{total} gates"


def findings(document: Document) -> tuple[str, ...]:
    """The sentences under the headline: distillation against no distillation, INT8 accuracy, speed per runtime."""
    found = [
        _distillation(document),
        _int8_accuracy(document),
        *_quantized_teacher(document),
        *slower_than_float(document),
    ]
    return tuple(sentence for sentence in found if sentence)


def _student(document: Document) -> str:
    teacher, student = document.network("teacher"), document.network("student")
    if student is None:
        return "The run has no student"
    if student.accuracy is None:
        return f"The accuracy of the student was not measured ({student.reason('accuracy')})"
    own = units.percent(student.accuracy.value, student.accuracy.samples)
    if teacher is None or teacher.accuracy is None:
        reason = "the run has no teacher" if teacher is None else teacher.reason("accuracy")
        return f"The student reaches {own} test accuracy; its teacher's was not measured ({reason})"
    other = units.percent(teacher.accuracy.value, teacher.accuracy.samples)
    size = _size(student, teacher)
    if student.accuracy.value >= teacher.accuracy.value:
        low, _ = difference(*_pair(student.accuracy), *_pair(teacher.accuracy))
        verb = "exceeds" if low > 0 else "matches"
        return f"The student {verb} its teacher's accuracy ({own} against {other}){size}"
    kept = units.percent(student.accuracy.value / teacher.accuracy.value)
    return f"The student keeps {kept} of its teacher's accuracy ({own} against {other}){size}"


def _pair(accuracy: Accuracy) -> tuple[float, int]:
    return accuracy.value, accuracy.samples


def _size(student: Network, teacher: Network) -> str:
    if not student.parameters or not teacher.parameters:
        return ""
    return f" with {units.share(student.parameters / teacher.parameters)} of its parameters"


def _int8(document: Document) -> str:
    files = [
        artifact for artifact in document.artifacts if artifact.precision == "int8" and artifact.model == "student"
    ]
    if not files:
        return "no INT8 file of the student was made"
    pairs = [pair for pair in speed_ups(document) if pair.int8.model == "student"]
    if not pairs:
        batch = smallest_batch(document)
        timed = [artifact for artifact in files if best_latency(artifact, batch)]
        if timed:
            return "its INT8 files were timed, but no float32 file of the same runtime was"
        return f"no INT8 file of it was timed ({files[0].reason('measurement')})"
    if all(pair.verdict != "faster" for pair in pairs):
        best = max(pairs, key=lambda pair: pair.ratio)
        where = f"{best.int8.runtime} on {best.int8.target}"
        return f"INT8 is not faster than float32 in any runtime timed here (at best {units.ratio(best.ratio)}, {where})"
    best = min(pairs, key=lambda pair: pair.int8_ms)
    name = f"its fastest INT8 file ({best.int8.format} on {best.int8.target})"
    return f"{name} {_pace(best)} float32 in the same runtime{_at_accuracy(best)}"


def _pace(pair: SpeedUp) -> str:
    match pair.verdict:
        case "faster":
            return f"is {units.ratio(pair.ratio)} as fast as"
        case "equal":
            return f"is no faster ({units.ratio(pair.ratio)}) than"
        case _:
            return f"is slower ({units.ratio(pair.ratio)}) than"


def _at_accuracy(pair: SpeedUp) -> str:
    accuracy = pair.int8.accuracy
    if accuracy is None:
        return f", its accuracy not measured ({pair.int8.reason('accuracy')})"
    return f", at {units.percent(accuracy.value, accuracy.samples)} accuracy"


def _distillation(document: Document) -> str:
    student, alone = document.network("student"), document.network("student_alone")
    if student is None or student.accuracy is None:
        return ""
    if alone is None or alone.accuracy is None:
        why = "this baseline was not asked for" if alone is None else alone.reason("accuracy")
        return f"What distillation adds is not known: the same student trained alone was not measured ({why})."
    return _gain(student.accuracy, alone.accuracy)


def _gain(student: Accuracy, alone: Accuracy) -> str:
    delta = student.value - alone.value
    low, high = difference(*_pair(student), *_pair(alone))
    text = f"{units.points(delta, student.samples)} points"
    interval = f"95 % interval {units.points(low, student.samples)} to {units.points(high, student.samples)}"
    gain = f"Distillation changes the student's accuracy by {text} against the same student trained alone ({interval})"
    if low > 0:
        return f"{gain}: a gain."
    if high < 0:
        return f"{gain}: a loss."
    return f"{gain}; {units.integer(student.samples)} test images in one run cannot tell this from no change."


def _int8_accuracy(document: Document) -> str:
    student = document.network("student")
    if student is None or student.accuracy is None:
        return ""
    scores = [
        artifact.accuracy
        for artifact in document.artifacts
        if artifact.model == "student" and artifact.precision == "int8" and artifact.accuracy
    ]
    if not scores:
        return ""
    changes = sorted(score.value - student.accuracy.value for score in scores)
    low, high = (units.points(change, student.accuracy.samples) for change in (changes[0], changes[-1]))
    span = f"{low} points" if low == high else f"{low} to {high} points"
    files = "its one verified INT8 file" if len(scores) == 1 else f"its {len(scores)} verified INT8 files"
    return f"INT8 changes the student's accuracy by {span} in {files}."


def _quantized_teacher(document: Document) -> list[str]:
    files = [
        artifact
        for artifact in document.artifacts
        if artifact.model == "teacher" and artifact.precision == "int8" and artifact.accuracy
    ]
    if not files:
        return []
    best = max(files, key=lambda artifact: artifact.accuracy.value if artifact.accuracy else 0.0)
    accuracy = best.accuracy
    if accuracy is None:
        return []
    row = best_latency(best, smallest_batch(document))
    pace = f" and takes {units.milliseconds(row.p50_ms)} ms" if row and row.p50_ms else ""
    size = f", {units.size(best.size_bytes)}" if best.size_bytes else ""
    score = units.percent(accuracy.value, accuracy.samples)
    return [f"The quantized teacher, as the alternative, scores {score}{pace} ({best.format} on {best.target}{size})."]
