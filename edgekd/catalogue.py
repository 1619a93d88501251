"""What `edgekd methods` shows: everything a recipe can name, with its papers. Imports no torch and no runtime."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekd.errors import RecipeError, nearest
from edgekd.family import Family, docstring_of

HERE = Path(__file__).parent
NAME = r"[A-Z][\w'-]+"
CITATION = re.compile(
    rf"(?P<authors>(?P<first>{NAME})(?:(?:, and |, | and | & ){NAME})*(?: et al\.)?)"
    r"(?:,| \(|,? \()? ?(?P<year>(?:19|20)\d\d)\b(?!\.\d)"
)
LINK = re.compile(r"https?://[^\s,;)]+[^\s,;).:]")


def all_families() -> dict[str, Family[Any]]:
    """Every family a recipe can name, by the word for one of its members."""
    from edgekd.compress.compressor import METHODS
    from edgekd.compress.ranges_family import RANGES
    from edgekd.data.reader import READERS
    from edgekd.distill.loss import LOSSES
    from edgekd.distill.optimizer import OPTIMIZERS
    from edgekd.distill.schedule import SCHEDULES
    from edgekd.distill.strategy import STRATEGIES
    from edgekd.export import FORMATS
    from edgekd.models.init import INITS
    from edgekd.models.source import MODELS

    return {
        "reader": READERS,
        "model": MODELS,
        "init": INITS,
        "loss": LOSSES,
        "strategy": STRATEGIES,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "compressor": METHODS,
        "ranges": RANGES,
        "format": FORMATS,
    }


KEYS = {
    "pairs": ("distill.losses.*.pairs", "distill/layer_maps.py"),
    "ramp": ("distill.losses.*.weight, temperature", "distill/ramp.py"),
    "ensemble": ("distill.ensemble", "distill/ensemble.py"),
    "prune": ("student.prune", "models/prune.py"),
    "importance": ("student.prune.importance, student.init.width.importance", "models/importance.py"),
    "safeguards": ("none needed", "distill/safeguards.py"),
}
"""What a recipe composes besides the methods of a family: its key, and the file whose docstring tells of it."""


def _key_docstrings() -> dict[str, str]:
    return {name: docstring_of(HERE / file) for name, (_, file) in KEYS.items()}


def families(name: str | None, find: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Family to method to its one-line summary and its papers; of `key`, where in a recipe it stands.

    Args:
        name: only this family; None lists all.
        find: only methods whose name or docstring has all of these words, in any case: a paper's title, an author, an
            abbreviation. Those that have them as whole words in their name or first line come first.

    Raises:
        RecipeError: there is no such family, or nothing is found.
    """
    known = {family: members.docstrings for family, members in all_families().items()} | {"key": _key_docstrings}
    if name is not None and name not in known:
        raise RecipeError(
            f"there is no family '{name}'{nearest(name, known)}",
            accepted=", ".join(known),
            hint="edgekd methods lists them all",
        )
    words = (find or "").casefold().split()
    found = [
        (_rank(words, method, text), family, method, text)
        for family, docstrings in known.items()
        if name in (None, family)
        for method, text in docstrings().items()
        if all(word in f"{method}\n{text}".casefold() for word in words)
    ]
    if not found:
        raise RecipeError("no method's name or description has these words", received=find, hint="try fewer words")
    chosen: dict[str, dict[str, dict[str, Any]]] = {}
    for _, family, method, text in sorted(found, key=lambda row: row[0]):
        row = {"summary": text.split("\n")[0], "papers": papers(text)}
        place = {"recipe": KEYS[method][0]} if family == "key" else {}
        chosen.setdefault(family, {})[method] = {**row, **place}
    return chosen


def _rank(words: list[str], method: str, text: str) -> int:
    """0 for a method whose name or first line has all of the words whole, else 1."""
    title = set(re.findall(r"[\w.-]+", f"{method} {text.partition(chr(10))[0]}".casefold()))
    return int(not set(words) <= title)


def papers(docstring: str) -> list[str]:
    """The papers that a docstring names by authors and year, each once, with the link that follows them.

    `Hinton, Vinyals, Dean 2015, Distilling the Knowledge ..., https://arxiv.org/abs/1503.02531` becomes
    `Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531`.
    """
    text = " ".join(docstring.split())
    cited = list(CITATION.finditer(text))
    ends = [*(match.start() for match in cited[1:]), len(text)]
    links = [LINK.search(text[match.end() : end]) for match, end in zip(cited, ends, strict=False)]
    # The first line may name in short, without the link, whom the last lines name in full.
    linked = {(match["first"], match["year"]) for match, link in zip(cited, links, strict=True) if link}
    found = [
        f"{match['authors']} {match['year']}" + (f", {link[0]}" if link else "")
        for match, link in zip(cited, links, strict=True)
        if link or (match["first"], match["year"]) not in linked
    ]
    return list(dict.fromkeys(found))


def method_table(chosen: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Plain text: a family's name, its methods below, each with its papers."""
    width = max(len(method) for found in chosen.values() for method in found)
    blocks: list[str] = []
    for family, found in chosen.items():
        lines = [family]
        for method, known in found.items():
            lines.append(f"  {method:<{width}}  {known['summary']}")
            lines += [f"  {'':<{width}}  [{paper}]" for paper in known["papers"]]
            lines += [f"  {'':<{width}}  in a recipe: {known['recipe']}"] if "recipe" in known else []
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
