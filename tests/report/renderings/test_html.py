"""The page: structure, escaping, and nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgekd.report import write

Json = dict[str, Any]
VOID = {"meta", "link", "br", "line", "polyline"}


class Outline(HTMLParser):
    """Reads a page: elements with their attributes, the text, and whether tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def render(document: Json, folder: Path) -> str:
    return write(document, folder)["html"].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["full", "unmeasured", "failing"])
def test_nothing_is_loaded_and_nothing_runs(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page = Outline(render(request.getfixturevalue(name), tmp_path))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "img", "object", "embed", "base", "form", "audio", "video", "use", "image"}
    for tag, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            if key in {"href", "src", "action", "data", "xlink:href"}:
                assert value.startswith("#") or value == "data:,", (tag, value)
    style = "".join(re.findall(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(encoding="utf-8"), re.S))
    assert "@import" not in style and "url(" not in style
    policy = next(item["content"] for item in page.all("meta") if "http-equiv" in item)
    assert policy.startswith("default-src 'none'")
    assert page.open == []


@pytest.mark.parametrize("name", ["full", "unmeasured", "failing"])
def test_accessible_structure(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page = Outline(render(request.getfixturevalue(name), tmp_path))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(cell.get("scope") in {"col", "row", "rowgroup"} for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.all("svg"))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {link["href"][1:] for link in page.all("a")}
    assert targets <= set(identifiers)
    assert next(tag for tag in page.all("html"))["lang"] == "en"


def test_names_are_escaped(failing: Json, tmp_path: Path) -> None:
    text = render(failing, tmp_path)
    assert "<script" not in text
    assert "alert(&#39;x&#39;)" in text
    assert "<script>alert('x')</script> & friends" in Outline(text).text


def test_failed_gates_come_first(failing: Json, tmp_path: Path) -> None:
    text = Outline(render(failing, tmp_path)).text
    gates = text[text.index("Limits that were breached") : text.index("Everything that was made")]
    verdicts = re.findall(r"failed|not decided|passed", gates.replace("gates passed", ""))
    assert verdicts == ["failed", "failed", "not decided", "passed"]
    assert "48.00 points at most 1.00 points" in gates
    assert "not measured : the agent gave no memory figure" in gates


def test_every_row_spans_all_columns(full: Json, tmp_path: Path) -> None:
    text = render(full, tmp_path)
    for table in re.findall(r"<table.*?</table>", text, re.S):
        columns = table.count('scope="col"')
        for row in re.findall(r"<tr.*?</tr>", table, re.S):
            cells = re.findall(r"<t[hd][^>]*>", row)
            spans = [int(found.group(1)) if (found := re.search(r'colspan="(\d+)"', cell)) else 1 for cell in cells]
            assert sum(spans) == columns


def test_side_by_side(full: Json, tmp_path: Path) -> None:
    text = Outline(render(full, tmp_path)).text
    assert "Teacher cifar_resnet 56 856 k 126 M 3.47 MB 94.37 % 93.90\u201394.80 is the teacher not measured" in text
    # 8712 of 10000: Wilson gives 0.86450 to 0.87762.
    assert (
        "onnx int8 onnxruntime 78.0 k 12.5 M 96.4 kB 87.12 % 86.45\u201387.76 90.12 % 0.0940 2 threads 0.102 0.123"
        in text
    )
    assert "tensorrt int8 tensorrt 78.0 k 12.5 M 96.4 kB not measured : TensorRT engines are built" in text


def test_contents(full: Json, tmp_path: Path) -> None:
    text = Outline(render(full, tmp_path)).text
    for expected in (
        "2 of 11 operators stay in float, 8-bit weights",
        "named in the recipe's keep_float",
        "conv2d aten.conv2d",
        "reference 87.14 %",
        "0.97\u00d7 not faster",
        "4 used by this recipe 1.63 49 % 60.4 %",
        "Calibration covers all 10 classes, 25 to 26 images each.",
        "channel 1 \u22120.008 0.990",
        "the calibration set has 256 images; entropy ranges settle at about 500",
        "int8_static (ranges: entropy)",
        "AMD EPYC 9B14",
        "temperature: 4.0",
        "timm not installed",
        "5 of 12 files are not shown",
    ):
        assert expected in text, expected


def test_nothing_measured_has_no_empty_cell_and_no_zero(unmeasured: Json, tmp_path: Path) -> None:
    text = render(unmeasured, tmp_path)
    assert not re.search(r"<td[^>]*>\s*</td>", text)
    page = Outline(text).text
    assert "there is nothing to plot" in page and "No network was trained in this run." in page
    assert "not measured : its operators cannot be counted" in page
    assert "<svg" not in text
    assert not re.search(r"\b0(\.0+)? (%|ms|B|MB)", page)


def test_one_measured_file(failing: Json, tmp_path: Path) -> None:
    failing["artifacts"][1].update(measurement=None, not_measured="the device was off")
    text = render(failing, tmp_path)
    assert "Only one file has both figures" in text and "Each curve has one epoch" in text


def test_many_classes_are_folded(failing: Json, tmp_path: Path) -> None:
    text = render(failing, tmp_path)
    assert "Calibration covers 200 of 1000 classes: 800 have no calibration image." in text
    assert "<details>\n<summary>Images per class</summary>" in text


def test_figures_that_one_measurement_lacks_say_why(full: Json, tmp_path: Path) -> None:
    measurement = full["artifacts"][1]["measurement"]
    for row in measurement["latency"]:
        row.update(p99_ms=None, reason="100 runs are too few for p99")
    measurement.update(
        peak_rss_above_runtime_bytes=None,
        peak_rss_reason="the kernel gives no VmHWM",
        warnings=["the machine was busy: load average 3.1 on 2 cores"],
        processes=[{"before": {"busy_cores": 1.1}}],
        machine={"kernel": "6.1"},
    )
    text = Outline(render(full, tmp_path)).text
    assert "0.102 not measured : 100 runs are too few for p99 not measured : the kernel gives no VmHWM" in text
    assert "onnx int8: the machine was busy: load average 3.1 on 2 cores" in text
    assert "1 of 7 timings are doubtful" in text
    assert "processes" not in text and "kernel (" not in text


def test_a_file_scored_in_another_runtime_says_so(full: Json, tmp_path: Path) -> None:
    full["artifacts"][11]["accuracy"] = {
        "value": 0.87,
        "samples": 10000,
        "arithmetic": "reference",
        "runtime": "onnxruntime",
    }
    assert "tensorrt int8 tensorrt reference in onnxruntime 87.00 %" in Outline(render(full, tmp_path)).text
