"""What only the networks can tell: whether there are any of these names, the layers and blocks that a recipe names in
them, and widths that a format cannot use.

The networks are built without weights, and only where a recipe has something to be checked so: that takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast

from edgekd.distill.layer_names import Missing, missing_layers
from edgekd.distill.loss import Layers, Loss
from edgekd.errors import CompressError, EdgekdError, MissingBackend, ModelError, one_line
from edgekd.export import FORMATS
from edgekd.models.architecture import CLASSES
from edgekd.recipe_rules import Location, Problem, asks_dynamic, int8_formats, teachers

if TYPE_CHECKING:
    from torch import nn

    from edgekd.models import ModelSection, ModelSource
    from edgekd.recipe import Recipe


@dataclass
class _Networks:
    """The recipe's networks, each built once and only when asked for.

    Attributes:
        recipe: the recipe.
        problems: why some could not be built.
        built: place in the recipe to network.
    """

    recipe: Recipe
    problems: list[Problem] = field(default_factory=list["Problem"])
    built: dict[Location, nn.Module | None] = field(default_factory=dict["Location", "nn.Module | None"])

    def network(self, where: Location, source: ModelSource) -> nn.Module | None:
        """The network that the recipe names there; None where it cannot be built."""
        from edgekd.models.architecture import architecture

        if where not in self.built:
            data = self.recipe.data
            try:
                self.built[where] = architecture(source, data.channels if data.reader.kind == "image" else 0)
            except (MissingBackend, ModelError) as error:
                self.built[where] = None
                self.problems.append(Problem((*where, source.method_name), one_line(error)))
        return self.built[where]

    def modules(self, where: Location, section: ModelSection) -> dict[str, nn.Module] | None:
        """Every layer by its name; None where the network cannot be built."""
        from edgekd.distill.taps import layers_of

        network = self.network((*where, "model"), section.model)
        return None if network is None else layers_of(network)


def architecture_problems(recipe: Recipe) -> list[Problem]:
    """Mistakes that show in the networks' layers; a recipe without anything to check builds none."""
    networks = _Networks(recipe)
    found = [
        *_layer_problems(recipe, networks),
        *_width_problems(recipe, networks),
        *_block_problems(recipe, networks),
        *_pattern_problems(recipe),
    ]
    _look_up_names(recipe, networks)
    return networks.problems + found


def _look_up_names(recipe: Recipe, networks: _Networks) -> None:
    """Builds every network that is looked up by its name, as only so a name that does not exist shows."""
    named: dict[Location, ModelSource] = {("student", "model"): recipe.student.model}
    named |= {(*where, "model"): section.model for where, section in teachers(recipe)}
    if recipe.distill is not None:
        strategy = recipe.distill.strategy
        named |= {("distill", "strategy", strategy.method_name, *at): model for at, model in strategy.models().items()}
    for where, source in named.items():
        if "name" in type(source).model_fields:
            networks.network(where, source)


def _block_problems(recipe: Recipe, networks: _Networks) -> Iterator[Problem]:
    """Blocks that a student's `init` names, and one of the networks does not have."""
    from edgekd.models.init import corresponding

    init, teacher = recipe.student.init, recipe.teacher
    if init is None or teacher is None:
        return
    student = networks.network(("student", "model"), recipe.student.model)
    taught = networks.network(("teacher", "model"), teacher.model)
    if student is not None and taught is not None:
        try:
            corresponding(init, list(student.state_dict()), list(taught.state_dict()))
        except ModelError as error:
            yield Problem(("student", "init", init.method_name), one_line(error))


def _pattern_problems(recipe: Recipe) -> Iterator[Problem]:
    """Patterns of `keep_float` that name no layer of the student, which only its capture tells."""
    from edgekd.compress.select import requested
    from edgekd.export.untrained import Sketch, layers

    patterns = [] if recipe.compress is None else recipe.compress.keep_float
    if not patterns:
        return
    try:
        found = layers(Sketch.of(recipe, CLASSES))
    except EdgekdError:
        return  # `check --deep` tells why
    for index, pattern in enumerate(patterns):
        try:
            requested([pattern], found)
        except CompressError as error:
            yield Problem(("compress", "keep_float", index), one_line(error))


def _layer_problems(recipe: Recipe, networks: _Networks) -> Iterator[Problem]:
    """Losses whose layers the networks do not have."""
    losses = [] if recipe.distill is None else list(enumerate(recipe.distill.losses))
    losses = [(index, loss) for index, loss in losses if loss.compares_layers() or any(loss.taps())]
    if recipe.distill is None or not losses:
        return
    teacher = (("teacher",), recipe.teacher) if recipe.teacher is not None else None
    if teacher is None and recipe.distill.strategy.brings_teacher:
        teacher = (("student",), recipe.student)  # the strategy's teacher is an earlier student
    student = networks.modules(("student",), recipe.student)
    taught = {} if teacher is None else networks.modules(*teacher)
    if student is None or taught is None:
        return
    layers = Layers(list(student), list(taught))
    for index, loss in losses:
        where: Location = ("distill", "losses", index, loss.method_name)
        if loss.compares_layers() and teacher is None:
            continue  # told as "needs a teacher section"
        try:
            named = loss.resolve(layers)
        except ModelError as error:
            yield Problem(where, one_line(error))
            continue
        for missing in missing_layers(named, layers):
            message = f"{missing.told()} (accepted: {missing.accepted})"
            yield Problem((*where, *_place(loss, missing)), message)


def _place(loss: Loss, missing: Missing) -> Location:
    """The loss's field that names the layer; of pairs also the pair's key."""
    other = "teacher" if missing.role == "student" else "student"
    for name, value in loss:
        if value == missing.name and name != other:
            return (name,)
        for left, right in cast("dict[str, str]", value).items() if isinstance(value, dict) else ():
            if missing.name == (left if missing.role == "student" else right):
                return (name, left)
    return ()


def _width_problems(recipe: Recipe, networks: _Networks) -> Iterator[Problem]:
    """Layers that a format cannot quantize at run time; of a pruned student only the export knows the widths."""
    compress = asks_dynamic(recipe)
    if compress is None:
        return
    groups = {name: size for name in int8_formats(recipe) if (size := FORMATS.load(name).dynamic_group) > 1}
    exported: list[tuple[Location, ModelSection]] = [(("student",), recipe.student)]
    if recipe.teacher and recipe.distill and "quantized_teacher" in recipe.distill.baselines:
        exported.append((("teacher",), recipe.teacher))
    for where, section in exported if groups else []:
        if section.prune is not None:
            continue
        from torch import nn

        inputs = {
            name: layer.in_features
            for name, layer in (networks.modules(where, section) or {}).items()
            if isinstance(layer, nn.Linear) and not any(fnmatchcase(name, one) for one in compress.keep_float)
        }
        for format_name, group in groups.items():
            uneven = [f"{name} ({size})" for name, size in inputs.items() if size % group]
            if uneven:
                more = f" and {len(uneven) - 3} more" if len(uneven) > 3 else ""
                message = (
                    f"'{format_name}' quantizes activations at run time in groups of {group} inputs, which do not "
                    f"divide those of the {where[0]}'s {', '.join(uneven[:3])}{more}; give a width that is a multiple "
                    f"of {group}, int8_static, keep_float, or export.formats without '{format_name}'"
                )
                yield Problem(("compress", "method"), message)
