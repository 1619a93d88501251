"""What the run achieved, in sentences made of its numbers and nothing else."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.blocks import Paragraph
from edgekd.report.compare import SpeedUp, best_latency, slower_than_float, smallest_batch, speed_ups
from edgekd.report.document import Document
from edgekd.report.document.artifacts import Exported
from edgekd.report.document.networks import Accuracy, Network
from edgekd.report.intervals import difference
from edgekd.report.recall import blind_spots


def headline(document: Document) -> str:
    """The one sentence at the top: what the student keeps, what INT8 brings, and which files failed."""
    names = [f"{file.label} for {file.target}" for file in document.artifacts if file.failed]
    shown = f" ({', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''})"
    failed = f"; {_failed(document)}{shown}" if names else ""
    return f"{_student(document)}; {_int8(document)}{failed}."


def verdict(document: Document) -> Paragraph:
    """Whether files failed, what the gates say, and what a good accuracy hides."""
    gates, failed, hidden = _gates(document), _failed(document), " ".join(blind_spots(document))
    text = " ".join(filter(None, (f"{failed}." if failed else "", hidden, gates.text)))
    return Paragraph(text, "bad" if failed else "warn" if hidden and gates.tone == "good" else gates.tone)


def _gates(document: Document) -> Paragraph:
    """What the gates say, failures first."""
    total = len(document.gates)
    gates = "1 gate" if total == 1 else f"{total} gates"
    failed = sum(gate.passed is False for gate in document.gates)
    undecided = sum(gate.passed is None for gate in document.gates)
    if not total:
        return Paragraph("No gates were set: nothing below was held against a limit.", "warn")
    rest = f"; {undecided} could not be decided, for want of a measurement" if undecided else ""
    if failed:
        return Paragraph(f"{failed} of {gates} failed{rest}.", "bad")
    if undecided == total:
        return Paragraph(f"None of {gates} could be decided, for want of a measurement.", "warn")
    if undecided:
        return Paragraph(f"{total - undecided} of {gates} passed, none failed{rest}.", "warn")
    return Paragraph("The one gate passed." if total == 1 else f"All {gates} passed.", "good")


def findings(document: Document) -> tuple[str, ...]:
    """The sentences under the headline: distillation against no distillation, INT8 accuracy, speed per runtime."""
    found = [_distillation(document), _int8_accuracy(document), _quantized_teacher(document)]
    return (*(sentence for sentence in found if sentence), *_forgetting(document), *slower_than_float(document))


def _percent(accuracy: Accuracy) -> str:
    return units.percent(accuracy.value, accuracy.samples)


def _difference(first: Accuracy, second: Accuracy) -> tuple[float, float]:
    return difference(first.value, first.samples, second.value, second.samples)


def _student(document: Document) -> str:
    teacher, student = document.teacher, document.network("student")
    if student is None:
        return "The run has no student"
    if student.accuracy is None:
        return f"The accuracy of the student was not measured ({student.reason('accuracy')})"
    own = _percent(student.accuracy)
    if teacher is None or teacher.accuracy is None:
        reason = "the run has no teacher" if teacher is None else teacher.reason("accuracy")
        return f"The student reaches {own} test accuracy; its teacher's was not measured ({reason})"
    both = f"({own} against {_percent(teacher.accuracy)}){_size(student, teacher)}"
    if student.accuracy.value >= teacher.accuracy.value:
        verb = "exceeds" if _difference(student.accuracy, teacher.accuracy)[0] > 0 else "matches"
        return f"The student {verb} its teacher's accuracy {both}"
    kept = units.percent(student.accuracy.value / teacher.accuracy.value)
    return f"The student keeps {kept} of its teacher's accuracy {both}"


def _size(student: Network, teacher: Network) -> str:
    if not student.parameters or not teacher.parameters:
        return ""
    return f" with {units.share(student.parameters / teacher.parameters)} of its parameters"


def _failed(document: Document) -> str:
    """How many files could not be made or run; empty where all could."""
    failed = sum(bool(file.failed) for file in document.artifacts)
    return f"{failed} of {len(document.artifacts)} files failed" if failed else ""


def _int8_files(document: Document, model: str) -> list[Exported]:
    return [file for file in document.artifacts if file.precision == "int8" and file.model == model]


def _int8(document: Document) -> str:
    files = [file for file in _int8_files(document, "student") if not file.failed]
    if not files:
        return "no INT8 file of the student was made"
    pairs = [pair for pair in speed_ups(document) if pair.int8.model == "student"]
    if not pairs:
        batch = smallest_batch(document)
        if any(best_latency(artifact, batch) for artifact in files):
            return "its INT8 files were timed, but no float32 file of the same runtime was"
        return f"no INT8 file of it was timed ({files[0].reason('measurement')})"
    if all(pair.verdict != "faster" for pair in pairs):
        best = max(pairs, key=lambda pair: pair.ratio)
        where = f"{best.int8.runtime} on {best.int8.target}"
        return f"INT8 is not faster than float32 in any runtime timed here (at best {units.ratio(best.ratio)}, {where})"
    best = min(pairs, key=lambda pair: pair.int8_ms)
    name = f"its fastest INT8 file ({best.int8.format} on {best.int8.target})"
    return f"{name} {_pace(best)} float32 in the same runtime{_at_accuracy(best.int8)}"


def _pace(pair: SpeedUp) -> str:
    ratio = units.ratio(pair.ratio)
    paces = {"faster": f"is {ratio} as fast as", "equal": f"is no faster ({ratio}) than"}
    return paces.get(pair.verdict, f"is slower ({ratio}) than")


def _at_accuracy(file: Exported) -> str:
    if file.accuracy is None:
        return f", its accuracy not measured ({file.reason('accuracy')})"
    return f", at {_percent(file.accuracy)} accuracy"


def _distillation(document: Document) -> str:
    network, other = document.network("student"), document.network("student_alone")
    if network is None or network.accuracy is None:
        return ""
    if other is None or other.accuracy is None:
        why = "this baseline was not asked for" if other is None else other.reason("accuracy")
        return f"What distillation adds is not known: the same student trained alone was not measured ({why})."
    student, alone = network.accuracy, other.accuracy
    low, high = _difference(student, alone)
    delta, least, most = (units.points(value, student.samples) for value in (student.value - alone.value, low, high))
    gain = (
        f"Distillation changes the student's accuracy by {delta} points against the same student trained alone "
        f"(95 % interval {least} to {most})"
    )
    if low > 0:
        return f"{gain}: a gain."
    if high < 0:
        return f"{gain}: a loss."
    tested = f"{units.integer(student.samples)} test {document.data.counted}"
    return f"{gain}; {tested} in one run cannot tell this from no change."


def _int8_accuracy(document: Document) -> str:
    student = document.network("student")
    scores = [file.accuracy.value for file in _int8_files(document, "student") if file.accuracy]
    if student is None or student.accuracy is None or not scores:
        return ""
    ends = (min(scores) - student.accuracy.value, max(scores) - student.accuracy.value)
    low, high = (units.points(change, student.accuracy.samples) for change in ends)
    span = f"{low} points" if low == high else f"{low} to {high} points"
    files = "its one verified INT8 file" if len(scores) == 1 else f"its {len(scores)} verified INT8 files"
    return f"INT8 changes the student's accuracy by {span} in {files}."


def _forgetting(document: Document) -> list[str]:
    sentences: list[str] = []
    for row in document.forgetting:
        who = "the student" if row.role == "student" else "the same student, trained on the new data alone,"
        if row.before is None or row.after is None:
            sentences.append(f"What {who} forgot is not known: the old task has no test split.")
            continue
        low, high = difference(row.after, row.samples, row.before, row.samples)
        change, least, most = (units.points(value, row.samples) for value in (row.after - row.before, low, high))
        after, before = (units.percent(value, row.samples) for value in (row.after, row.before))
        sentences.append(
            f"Forgetting: on the old task {who} scores {after} after learning the new one and {before} before, a "
            f"change of {change} points (95 % interval {least} to {most})."
        )
    return sentences


def _quantized_teacher(document: Document) -> str:
    scored = [(file.accuracy, file) for file in _int8_files(document, "teacher") if file.accuracy]
    if not scored:
        return ""
    accuracy, best = max(scored, key=lambda pair: pair[0].value)
    row = best_latency(best, smallest_batch(document))
    pace = f" and takes {units.significant(row.p50_ms)} ms" if row and row.p50_ms else ""
    size = f", {units.size(best.size_bytes)}" if best.size_bytes else ""
    where = f"{best.format} on {best.target}{size}"
    return f"The quantized teacher, as the alternative, scores {_percent(accuracy)}{pace} ({where})."
