"""The figures: well-formed, complete and inside their frame, from one point up to many on one spot."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from edgekd.report.plots.canvas import text_width
from edgekd.report.plots.curves import Curve, curves
from edgekd.report.plots.scatter import Mark, scatter

SVG = "{http://www.w3.org/2000/svg}"
SIZES = [(900, 420), (356, 360)]


def mark(latency_ms: float, accuracy: float, label: str, *, filled: bool = True) -> Mark:
    return Mark(latency_ms, accuracy, accuracy - 0.01, min(1.0, accuracy + 0.01), label, filled, 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 2, 14])
def test_scatter(size: tuple[int, int], count: int) -> None:
    marks = [mark(0.1 * (i + 1), 0.87 + 0.001 * i, f"onnx {i}", filled=i % 2 == 0) for i in range(count)]
    root = ElementTree.fromstring(scatter(marks, *size, "title", "wide"))
    discs, squares = root.findall(f"{SVG}circle"), root.findall(f"{SVG}rect")
    assert len(discs) + len(squares) == count and len(discs) == (count + 1) // 2
    labels = [node for node in root.findall(f"{SVG}text") if node.get("class") == "label"]
    assert sorted(node.text or "" for node in labels) == sorted(item.label for item in marks)
    for node in labels:
        assert 0 <= float(node.get("x", "-1")) <= size[0] and 0 <= float(node.get("y", "-1")) <= size[1]


def test_labels_of_near_marks_do_not_overlap() -> None:
    marks = [mark(1 + 0.01 * i, 0.9, f"openvino {i}") for i in range(6)]
    root = ElementTree.fromstring(scatter(marks, 900, 420, "t", "wide"))
    places = [
        (float(n.get("x", "0")), float(n.get("y", "0"))) for n in root.iter(f"{SVG}text") if n.get("class") == "label"
    ]
    width, height = len("openvino 0") * 12 * 0.56, 14
    for index, (x, y) in enumerate(places):
        for other_x, other_y in places[index + 1 :]:
            assert abs(x - other_x) >= width - 0.1 or abs(y - other_y) >= height - 0.1


def test_equal_marks_and_extremes() -> None:
    marks = [mark(1.0, 1.0, "a"), mark(1.0, 1.0, "b"), mark(5000.0, 0.01, "c")]
    root = ElementTree.fromstring(scatter(marks, 900, 420, "t", "wide"))
    assert len(root.findall(f"{SVG}circle")) == 3
    assert "nan" not in ElementTree.tostring(root, encoding="unicode")


def test_a_label_is_text_and_not_markup() -> None:
    svg = scatter([mark(1.0, 0.5, "<script>&'\"")], 900, 420, 'a "title" <b>', "wide")
    assert "<script" not in svg and "<b>" not in svg
    assert ElementTree.fromstring(svg).get("aria-label") == 'a "title" <b>'


def test_a_better_file_is_higher_and_a_slower_one_further_right() -> None:
    root = ElementTree.fromstring(scatter([mark(1, 0.8, "a"), mark(2, 0.9, "b")], 900, 420, "t", "wide"))
    first, second = root.findall(f"{SVG}circle")
    assert float(second.get("cx", "0")) > float(first.get("cx", "0"))
    assert float(second.get("cy", "0")) < float(first.get("cy", "0"))


@pytest.mark.parametrize("epochs", [1, 2, 30, 400])
def test_curves(epochs: int) -> None:
    lines = [Curve(f"net {n}", tuple((float(e), 50 + n + e / 10) for e in range(1, epochs + 1)), n) for n in range(3)]
    svg = curves(lines, (520, 300), (0, 100), y_title="accuracy, %", title="t", css="wide")
    root = ElementTree.fromstring(svg)
    assert len(root.findall(f"{SVG}polyline")) == (3 if epochs > 1 else 0)
    assert len(root.findall(f"{SVG}circle")) == 3
    ticks = [node.text for node in root.findall(f"{SVG}text") if node.get("class") == "tick"]
    assert len(ticks) <= 24 and not re.search(r"nan|inf", svg)


@pytest.mark.parametrize("width", [520, 356])
def test_many_names_wrap_and_none_looks_like_another(width: int) -> None:
    lines = [Curve(f"generation {n}", ((1.0, 1.0 + n), (2.0, 2.0 + n)), n) for n in range(9)]
    svg = curves(lines, (width, 300), (0, 100), y_title="accuracy, %", title="t", css="wide")
    labels = [re.search(rf'<text class="label" x="([\d.]+)" y="([\d.]+)"[^>]*>generation {n}<', svg) for n in range(9)]
    places = [(float(label[1]), float(label[2])) for label in labels if label]
    assert len(set(places)) == 9 and all(x + text_width("generation 8") <= width for x, _ in places)
    assert len({y for _, y in places}) > 1 and places == sorted(places, key=lambda place: (place[1], place[0]))
    assert len(set(re.findall(r'<polyline class="(curve s\d d\d)"', svg))) == 9


def test_curves_use_no_colour_of_their_own() -> None:
    line = Curve("student", ((1, 2.0), (2, 1.0)), 1)
    svg = curves([line], (520, 300), (0, 100), y_title="loss", title="t", css="wide")
    assert not re.search(r"#[0-9a-fA-F]{3,6}|rgb\(|stroke=|fill=|style=", svg)
