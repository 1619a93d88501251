"""`edgekd check` on the columns and classes that a recipe names of its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import RECIPE
from .test_architecture_rules import told
from .test_text_recipe import TEXT


def test_columns(tmp_path: Path, tiny_bert: Path, tickets: Path) -> None:
    text = TEXT.replace("TICKETS", str(tickets)).replace("TINY", str(tiny_bert))
    assert told(tmp_path, text) == ""
    found = told(tmp_path, text.replace("csv_text: {", "csv_text: {text: txet, "))
    assert "data.reader.csv_text: there is no column 'txet'; did you mean 'text'?" in found


@pytest.mark.parametrize(("names", "right"), [("[cat, dog]", True), ("[cat, dgo]", False)])
def test_classes_whose_order_is_given(tmp_path: Path, names: str, right: bool) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"")
    reader = f"reader: {{image_folder: {{path: images, class_names: {names}}}}}"
    found = told(tmp_path, RECIPE.replace("reader: mnist5k", reader))
    assert found == "" if right else "data.reader.image_folder: " in found and "dgo" in found
