"""Families: every file is found, holds one documented method, and misuse is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from edgekd.family import Family, Method, MethodFieldsError, OneOf


class Shape(Method):
    """Base of the toy family."""


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family[Shape]:
    package = tmp_path / "shapes_family"
    package.mkdir()
    (package / "__init__.py").write_text('"""Shapes."""')
    base = f"import sys\nShape = sys.modules[{__name__!r}].Shape\n"
    (package / "circle.py").write_text(f'"""A circle."""\n{base}class Circle(Shape):\n    radius_mm: float = 1.0\n')
    (package / "square.py").write_text(f'"""A square."""\n{base}class Square(Shape):\n    side_mm: float\n')
    (package / "two.py").write_text(f'"""Two."""\n{base}class A(Shape): ...\nclass B(Shape): ...\n')
    (package / "broken.py").write_text('"""Broken."""\nraise RuntimeError("boom")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Shape.__module__])
    yield Family("shapes_family", Shape)
    for name in [name for name in sys.modules if name.startswith("shapes_family")]:
        del sys.modules[name]


def test_listing_imports_nothing(shapes: Family[Shape]) -> None:
    assert shapes.names() == ["broken", "circle", "square", "two"]
    assert shapes.summaries()["circle"] == "A circle."
    assert not any(name.startswith("shapes_family.") for name in sys.modules)


def test_both_recipe_forms(shapes: Family[Shape]) -> None:
    assert shapes.parse("circle").model_dump() == {"circle": {"radius_mm": 1.0}}
    assert shapes.parse({"circle": {"radius_mm": 3}}) == shapes.parse({"circle": {"radius_mm": 3.0}})
    assert shapes.parse({"circle": None}) == shapes.parse("circle")


def test_subclass_fields_survive_a_round_trip(shapes: Family[Shape]) -> None:
    class Drawing(BaseModel):
        shape: Annotated[Shape, OneOf(shapes)]

    drawing = Drawing.model_validate({"shape": {"square": {"side_mm": 2}}})
    assert drawing.model_dump(mode="json") == {"shape": {"square": {"side_mm": 2.0}}}
    assert Drawing.model_validate(drawing.model_dump(mode="json")) == drawing


def test_refusals(shapes: Family[Shape]) -> None:
    with pytest.raises(PydanticCustomError, match="did you mean 'circle'"):
        shapes.parse("circel")
    with pytest.raises(PydanticCustomError, match="give one name"):
        shapes.parse({"circle": {}, "square": {}})
    with pytest.raises(MethodFieldsError):
        shapes.parse({"circle": {"radius": 1}})
    with pytest.raises(MethodFieldsError):
        shapes.parse("square")
    with pytest.raises(TypeError, match="exactly one Shape, found 2"):
        shapes.load("two")


def test_a_broken_file_fails_only_when_asked_for(shapes: Family[Shape]) -> None:
    assert shapes.parse("circle")
    with pytest.raises(RuntimeError, match="boom"):
        shapes.parse("broken")


def test_methods_are_frozen(shapes: Family[Shape]) -> None:
    with pytest.raises(ValidationError):
        shapes.parse("circle").radius_mm = 2  # type: ignore[attr-defined]
