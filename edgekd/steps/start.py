"""What decides a student before its training, where that is made of the teacher: a part of its store key."""

from __future__ import annotations

from typing import Any

from edgekd.errors import RecipeError
from edgekd.models import ModelSection
from edgekd.store import Entry


def start_key(student: ModelSection, teacher: ModelSection | None, weights: Entry | None) -> dict[str, Any] | None:
    """The init or the pruning, and the teacher with its weights; None for a student that starts on its own.

    Raises:
        RecipeError: it starts from a teacher, and there is none.
    """
    if not student.starts_from_teacher:
        return None
    if teacher is None or weights is None:
        raise RecipeError("the student starts from the teacher, and there is none", where="student")
    return {
        "how": student.model_dump(mode="json", include={"init", "prune"}),
        "teacher": teacher.model.model_dump(mode="json"),
        "identity": teacher.model.identity(),
        "weights": weights.digest,
    }
