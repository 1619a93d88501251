"""What a good accuracy can hide: classes that are never found, and answers that do not depend on the input."""

from __future__ import annotations

from edgekd.report import units
from edgekd.report.document import Document
from edgekd.report.document.artifacts import Exported
from edgekd.report.document.networks import Network

# Share of the way from chance to 1 within which a balanced accuracy is called chance.
AT_CHANCE = 0.05
NAMED = 3


def blind_spots(document: Document) -> list[str]:
    """A sentence for the student and for each of its files that misses a class altogether, or answers at chance.

    A file that misses what the student misses is not told of again.
    """
    student = document.network("student")
    files = [file for file in document.artifacts if file.model == "student"]
    own = _told(student) if student else ""
    others = {file.path: _told(file) for file in files}
    return [
        *([f"The student {own}."] if own else []),
        *(f"{path} {told}." for path, told in others.items() if told and told != own),
    ]


def _told(subject: Network | Exported) -> str:
    """What is wrong with its answers; empty where nothing is."""
    found, accuracy = subject.quality, subject.accuracy
    if found is None or accuracy is None:
        return ""
    parts: list[str] = []
    if missed := found.never_found:
        more = f" and {len(missed) - NAMED} more" if len(missed) > NAMED else ""
        classes = "class" if len(missed) == 1 else "classes"
        parts.append(f"never finds {len(missed)} {classes} ({', '.join(missed[:NAMED])}{more})")
    chance = 1 / max(1, found.classes_met)
    if found.balanced_accuracy is not None and found.balanced_accuracy <= chance + AT_CHANCE * (1 - chance):
        parts.append(f"answers at chance: its balanced accuracy is {units.percent(found.balanced_accuracy)}")
    right = units.percent(accuracy.value, accuracy.samples)
    return f"{' and '.join(parts)}, though {right} of its answers are right" if parts else ""
