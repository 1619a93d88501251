"""The section of per-class quality, and what the data section says of texts."""

from __future__ import annotations

from typing import Any

from edgekd.report.blocks import Details, Paragraph, Table
from edgekd.report.document import Document
from edgekd.report.sections import data, quality


def texts_of(blocks: tuple[Any, ...]) -> list[str]:
    tables = [block for block in blocks if isinstance(block, Table)]
    return [cell.text for table in tables for group in table.groups for row in group.rows for cell in row]


def test_one_row_per_network_and_measured_file(full: dict[str, Any]) -> None:
    document = Document.parse(full)
    section = quality.section(document)
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    measured = [artifact for artifact in document.artifacts if artifact.quality]
    assert len(table.groups[0].rows) == 3 + len(measured) and len(table.columns) == 4
    first = [cell.text for cell in table.groups[0].rows[0]]
    assert first[0] == "Teacher" and table.groups[0].rows[0][3].note == "cat"
    folded = [block for block in section.blocks if isinstance(block, Details)]
    assert "dog" in texts_of(folded[0].blocks)
    assert sum(len(block.blocks) for block in folded) == 3 + len(measured)


def test_embeddings_have_a_cosine_and_no_calibration_error(full: dict[str, Any]) -> None:
    for model in full["models"]:
        model["quality"] |= {"calibration_error": None, "cosine_with_teacher": 0.8125}
    section = quality.section(Document.parse(full))
    assert section is not None and any(
        "nearest class centroid" in b.text for b in section.blocks if isinstance(b, Paragraph)
    )
    assert "0.812" in texts_of(section.blocks) and "cosines are no probabilities" in texts_of(section.blocks)


def test_without_figures_there_is_no_section(full: dict[str, Any]) -> None:
    for row in [*full["models"], *full["artifacts"]]:
        row["quality"] = None
    assert quality.section(Document.parse(full)) is None


def test_texts_are_called_texts(full: dict[str, Any]) -> None:
    full["data"]["kind"] = "text"
    full["data"]["calibration"]["domain_shift"] = {
        "unseen_share": 0.043, "unknown_share": None, "train_unknown_share": 0.01,
        "median_length": 14.0, "train_median_length": 13.0,
    }  # fmt: skip
    section = data.section(Document.parse(full))
    assert section is not None
    said = repr(section)
    assert "train texts" in said and "Texts per class" in said and "image" not in said.replace("image_folder", "")
    found = texts_of(section.blocks)
    assert "4.3 %" in found and "the tokenizer has no unknown token" in found and "14" in found


def test_classified_tokens_are_counted_as_tokens(full: dict[str, Any]) -> None:
    full["data"] |= {"kind": "text", "task": "token_classification"}
    section = data.section(Document.parse(full))
    assert (
        section is not None
        and "train labelled tokens" in repr(section)
        and "Labelled tokens per class" in repr(section)
    )
