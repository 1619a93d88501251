"""The page in a real browser: no horizontal scrolling, no console message, both themes, on desktop and phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from edgekd.report import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium binary on this machine (apt install chromium)"),
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
]
# Each width is an inline frame: the same layout as a window of that width, below the least width of a real window.
MEASURE = """
const facts = [];
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement;
  if (frame.dataset.open) page.querySelectorAll("details").forEach(node => node.open = true);
  const style = node => node ? view.getComputedStyle(node) : null;
  const wide = [...page.querySelectorAll("body *")].filter(node =>
    !node.closest(".scroll:not(.cards), pre, svg, .skip, .hidden, thead") &&
    node.getBoundingClientRect().right > view.innerWidth + 0.5);
  facts.push({
    width: view.innerWidth, scroll: root.scrollWidth, title: page.title, height: root.scrollHeight,
    wide: wide.slice(0, 5).map(node => node.outerHTML.slice(0, 160)),
    figures: [...page.querySelectorAll("svg")].filter(node => style(node).display !== "none")
      .map(node => node.getAttribute("class")),
    paper: style(page.body).backgroundColor, ink: style(page.body).color,
    card: style(page.querySelector(".cards tbody td"))?.display,
  });
}
const out = document.createElement("pre");
out.id = "facts";
out.textContent = JSON.stringify(facts);
document.body.append(out);
"""


def look(page: Path, folder: Path, *, dark: bool = False) -> list[dict[str, Any]]:
    """Facts about the page at 1280 and 390 pixels, folded and with everything opened."""
    source = escape(page.read_text(encoding="utf-8"), quote=True)
    frames = "".join(
        f'<iframe srcdoc="{source}" style="border:0;width:{width}px;height:900px" {state}></iframe>'
        for width in (1280, 390)
        for state in ("", "data-open=1")
    )
    harness = folder / "harness.html"
    script = f"<script>window.onload = () => {{ {MEASURE} }};</script>"
    harness.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{frames}{script}", encoding="utf-8")
    theme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command = [str(CHROMIUM), *FLAGS, *theme, f"--user-data-dir={folder / 'profile'}", "--dump-dom", harness.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert messages == []
    found = re.search(r'<pre id="facts">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stdout[-2000:]
    return json.loads(unescape(found.group(1)))


@pytest.mark.parametrize("name", ["full", "unmeasured", "failing"])
def test_fits_desktop_and_phone(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    facts = look(write(request.getfixturevalue(name), tmp_path)["html"], tmp_path)
    assert [item["width"] for item in facts] == [1280, 1280, 390, 390]
    for item in facts:
        assert item["scroll"] <= item["width"], item
        assert item["wide"] == [], item
        assert item["height"] > 900
        figure = "wide" if item["width"] == 1280 else "narrow"
        assert set(item["figures"]) <= {figure}
        assert item["card"] == ("table-cell" if item["width"] == 1280 else item["card"])
        if item["width"] == 390:
            assert item["card"] in {"grid", "block"}


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_both_themes(full: dict[str, Any], tmp_path: Path) -> None:
    page = write(full, tmp_path)["html"]
    for dark in (False, True):
        (tmp_path / str(dark)).mkdir()
        item = look(page, tmp_path / str(dark), dark=dark)[0]
        paper, ink = luminance(item["paper"]), luminance(item["ink"])
        assert (paper < ink) is dark
        assert (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) > 7
