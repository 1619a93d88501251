"""Recipe: the YAML as frozen models; every mistake at once, each with its line and path in the file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgekd.benchmark import BenchmarkSection
from edgekd.compress import CompressSection
from edgekd.data import DataSection
from edgekd.distill import DistillSection
from edgekd.errors import RecipeError
from edgekd.export import ExportSection
from edgekd.gates import GatesSection
from edgekd.models import ModelSection, TeacherSection
from edgekd.recipe_fields import field_problems
from edgekd.recipe_rules import Problem, combination_problems
from edgekd.tune.section import SearchSection
from edgekd.yaml_file import read_yaml

VARIABLE = re.compile(r"\$\{(\w+)\}")


class Recipe(BaseModel):
    """One run: what to learn from, what to make, for which boards, within which limits.

    Attributes:
        name: names the run's folder, `runs/<name>`.
        seed: decides the split, the initial weights, the batch order and the augmentation.
        data: the images and how they are split.
        teacher: the network to learn from; None when nothing is distilled.
        teachers: several networks to learn from together, in place of `teacher`; see `distill.ensemble`.
        student: the network that is shipped.
        distill: how the student is trained; None: the student's weights are used as they are.
        compress: how it is quantized; None: float artifacts only.
        targets: names of board profiles, or `host` for the best match of this machine.
        export: which formats and precisions; by default what each target prefers.
        benchmark: what is timed.
        gates: what fails the run.
        search: what `edgekd tune` varies; every other command takes the values as written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**31)
    data: DataSection
    teacher: ModelSection | None = None
    teachers: list[TeacherSection] = []
    student: ModelSection
    distill: DistillSection | None = None
    compress: CompressSection | None = None
    targets: list[str] = Field(min_length=1)
    export: ExportSection = ExportSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    gates: GatesSection = GatesSection()
    search: SearchSection | None = None

    def all_teachers(self) -> Sequence[ModelSection]:
        """The one teacher, or the several, or none."""
        return self.teachers if self.teacher is None else [self.teacher]

    @model_validator(mode="before")
    @classmethod
    def _pruned_teacher(cls, raw: Any) -> Any:
        """A pruned student is a copy of the teacher: its model need not be repeated."""
        if isinstance(raw, dict):
            recipe = cast(dict[str, Any], raw)
            student, teacher = (
                cast(dict[str, Any], section) if isinstance(section := recipe.get(role), dict) else {}
                for role in ("student", "teacher")
            )
            if student.get("prune") is not None and "model" in teacher:
                return {**recipe, "student": {"model": teacher["model"], **student}}
        return cast(Any, raw)

    def warnings(self) -> list[str]:
        """What is valid and rarely meant."""
        if self.distill is None:
            return []
        taught = bool(self.all_teachers()) or self.distill.strategy.brings_teacher
        return self.distill.warnings(alone=taught and self.data.task != "embedding")


@dataclass(frozen=True)
class LoadedRecipe:
    """A valid recipe with the text it came from.

    Attributes:
        recipe: the validated models.
        raw: the YAML as written: what manifests and reports quote.
        path: the file.
        expanded: the YAML with environment variables and the paths of targets filled in.
    """

    recipe: Recipe
    raw: dict[str, Any]
    path: Path
    expanded: dict[str, Any]


def load_recipe(path: Path, *, layers: bool = False) -> LoadedRecipe:
    """Reads and checks a recipe.

    Args:
        path: the file.
        layers: also looks up in its networks and data what it names of them, which takes seconds.

    Raises:
        RecipeError: everything that is wrong with it, one line each.
    """
    node, raw = read_yaml(path, "recipe", RecipeError, "edgekd new digits my.yaml writes one to start from")
    if not isinstance(raw, dict):
        raise RecipeError(
            "a recipe is a mapping", where=path, received=type(raw).__name__, accepted=", ".join(Recipe.model_fields)
        )
    problems = list(_duplicate_keys(node, ()))
    raw = cast(dict[str, Any], raw)
    expanded = _with_target_paths(_expand(raw, (), problems), path.parent)
    recipe, found = validated(expanded, path.parent)
    told = {problem.location for problem in problems}
    problems += [problem for problem in found if problem.location not in told]
    if (search := _search(recipe, expanded)) is not None:
        from edgekd.tune.space import space_problems

        problems += space_problems(search, expanded, lambda changed: validated(changed, path.parent)[1])
    if recipe is not None and layers:
        from edgekd.architecture_rules import architecture_problems
        from edgekd.source_rules import source_problems

        problems += [*architecture_problems(recipe), *source_problems(recipe)]
    if problems or recipe is None:
        raise RecipeError(_listing(path, node, problems))
    return LoadedRecipe(recipe, raw, path, expanded)


def validated(expanded: dict[str, Any], folder: Path) -> tuple[Recipe | None, list[Problem]]:
    """The recipe of expanded YAML, or None, and what is wrong with it; paths are relative to `folder`."""
    recipe: Recipe | None = None
    problems: list[Problem] = []
    try:
        recipe = Recipe.model_validate(expanded, context={"folder": folder})
    except ValidationError as error:
        problems += field_problems(error, Recipe, (), expanded)
    return recipe, problems + combination_problems(recipe, expanded)


def _search(recipe: Recipe | None, expanded: dict[str, Any]) -> SearchSection | None:
    """The search section, also of a recipe that is wrong elsewhere; None without one, or when it is wrong itself."""
    try:
        return SearchSection.model_validate(expanded["search"]) if recipe is None else recipe.search
    except (KeyError, ValidationError):
        return None


def recipe_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a recipe, for editors."""
    schema = Recipe.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "edgekd recipe"}


def _expand(value: Any, location: tuple[str | int, ...], problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item, (*location, key), problems) for key, item in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [_expand(item, (*location, index), problems) for index, item in enumerate(cast(list[Any], value))]
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(Problem(location, f"give a finite number, received {value}"))
    if isinstance(value, str):
        for name in VARIABLE.findall(value):
            if name not in os.environ:
                problems.append(Problem(location, f"the environment variable {name} is not set"))
        return VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), value)
    return value


def _with_target_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The targets that are files, like every path in a recipe, are relative to it."""
    targets = raw.get("targets")
    if not isinstance(targets, list):
        return raw
    files = (".yaml", ".yml")
    found = [str(folder / name) if str(name).endswith(files) else name for name in cast(list[Any], targets)]
    return {**raw, "targets": found}


def _duplicate_keys(node: Any, location: tuple[str | int, ...]) -> Iterator[Problem]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield Problem((*location, key.value), "this key is given twice")
            seen.add(key.value)
            yield from _duplicate_keys(value, (*location, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicate_keys(value, (*location, index))


def _line(node: Any, location: tuple[str | int, ...]) -> int:
    """Line in the file, from 1, of the deepest part of the location that the file has."""
    line = node.start_mark.line if node is not None else 0
    for part in location:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return line + 1


def _listing(path: Path, node: Any, problems: list[Problem]) -> str:
    lines = sorted({(_line(node, problem.location), problem.dotted, problem.message) for problem in problems})
    count = "one mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    rows = [f"  {path}:{line}: {dotted}: {message}" for line, dotted, message in lines]
    return "\n".join([f"{count} in the recipe", *rows, "  next:     correct the file, then: edgekd check " + str(path)])
