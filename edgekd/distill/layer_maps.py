"""Layer maps: which student layer learns from which teacher layer.

A recipe field of type `LayerMap` takes explicit pairs, or one of three rules over the blocks of both networks:

    pairs: {layer2: layer2, layer3: layer3}                         student's module name: teacher's
    pairs: uniform
    pairs: {skip: {every: 2, student: encoder.layer, teacher: encoder.layer}}

With m student blocks and n teacher blocks, counted from 1, student block i learns from teacher block

    uniform     ceil(i * n / m)     evenly spread, the last from the last      (TinyBERT's g(i) where m divides n)
    last        n - m + i           the teacher's last m                       (PKD-Last)
    skip        i * every           every n-th; `every` is n // m by default   (PKD-Skip)

The blocks of a network are found from its module names alone. Modules that have submodules, and whose names differ
only in a number at the end, are siblings (`layer1`, `layer2`, ...; `encoder.layer.0`, `encoder.layer.1`, ...). The
blocks are the two or more siblings that contain the most modules: the stages of a convolutional network (`layer1..4` of
a ResNet, `stages.0..3` of a ConvNeXt), the layers of a transformer (`blocks.0..11`, `bert.encoder.layer.0..11`). Only a
network without such has a single block. The options `student` and `teacher` name other siblings by what comes before
the number (`layer3` for `layer3.0..8`); the end of the name is enough.

Sun et al. 2019, Patient Knowledge Distillation for BERT Model Compression, https://arxiv.org/abs/1908.09355
Jiao et al. 2020, TinyBERT, https://arxiv.org/abs/1909.10351
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from edgekd.distill.loss import Layers, Loss
from edgekd.errors import ModelError, nearest

RuleName = Literal["uniform", "last", "skip"]
RULES: tuple[str, ...] = get_args(RuleName)


class Rule(BaseModel):
    """A layer map that depends on the networks.

    Attributes:
        rule: the rule's name.
        student: what comes before the number in the names of the student's blocks; None finds them.
        teacher: the same of the teacher.
        every: distance of the teacher's blocks; only for `skip`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rule: RuleName
    student: str | None = None
    teacher: str | None = None
    every: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Rule:
        if self.every is not None and self.rule != "skip":
            raise ValueError("'every' belongs to 'skip'")
        return self

    @model_serializer
    def _recipe_form(self) -> dict[str, Any]:
        given = {"student": self.student, "teacher": self.teacher, "every": self.every}
        return {self.rule: {key: value for key, value in given.items() if value is not None}}


def _read(value: object) -> object:
    """Explicit pairs as a dict of names, or a `Rule`."""
    if isinstance(value, str) and value in RULES:
        return Rule.model_validate({"rule": value})
    if isinstance(value, Mapping) and value:
        items = cast(Mapping[Any, Any], value)
        if all(isinstance(name, str) for item in items.items() for name in item):
            return dict(items)
        name, fields = next(iter(items.items()))
        if len(items) == 1 and name in RULES and isinstance(fields, Mapping | None):
            try:
                return Rule.model_validate({**(fields or {}), "rule": name})
            except ValidationError as error:
                reasons = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
                plain = (reason.removeprefix(": ").removeprefix("Value error, ") for reason in reasons)
                raise ValueError("; ".join(plain)) from error
    if isinstance(value, Rule):
        return value
    close = nearest(value, RULES) if isinstance(value, str) else ""
    raise ValueError(f"give {', '.join(RULES)}, or pairs {{student layer: teacher layer}}{close}")


_OPTIONS = {"student": {"type": "string"}, "teacher": {"type": "string"}, "every": {"type": "integer", "minimum": 1}}
_SCHEMA = {
    "anyOf": [
        {"enum": list(RULES)},
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                name: {"type": "object", "properties": _OPTIONS, "additionalProperties": False} for name in RULES
            },
            "additionalProperties": False,
        },
    ]
}

LayerMap = Annotated[dict[str, str] | Rule, BeforeValidator(_read), WithJsonSchema(_SCHEMA)]
"""A recipe field: explicit pairs `{student layer: teacher layer}`, or a rule. Turn it into pairs with `pairs`."""


def pairs(layer_map: LayerMap, layers: Layers) -> list[tuple[str, str]]:
    """The (student layer, teacher layer) pairs of a map, in the order of the student's layers or as given.

    Explicit pairs are returned as they are; the taps check that they exist. `PairLoss` shows the use.

    Raises:
        ModelError: a network has no such blocks, or the teacher too few.
    """
    if not isinstance(layer_map, Rule):
        return list(layer_map.items())
    if not layers.teacher:
        raise ModelError(f"the layer map '{layer_map.rule}' needs a teacher", hint="give the recipe a teacher section")
    student = blocks(layers.student, "student", layer_map.student)
    teacher = blocks(layers.teacher, "teacher", layer_map.teacher)
    m, n = len(student), len(teacher)
    if layer_map.rule == "last":
        return list(zip(student[-min(m, n) :], teacher[-min(m, n) :], strict=True))
    if layer_map.rule == "uniform":
        return [(name, teacher[-(-i * n // m) - 1]) for i, name in enumerate(student, 1)]
    every = layer_map.every or max(1, n // m)
    if m * every > n:
        raise ModelError(
            "the layer map 'skip' passes the teacher's last block",
            received=f"{m} student blocks, every {every} of {n} teacher blocks",
            accepted=f"at most {n // every} student blocks, or a smaller 'every'",
        )
    return [(name, teacher[i * every - 1]) for i, name in enumerate(student, 1)]


def last_blocks(layers: Layers) -> tuple[str, str]:
    """The last block of the student and of the teacher."""
    return blocks(layers.student, "student")[-1], blocks(layers.teacher, "teacher")[-1]


def explicit(layer_map: LayerMap) -> dict[str, str]:
    """The pairs of a map that was resolved, or given as pairs.

    Raises:
        ModelError: the map is a rule, which needs the networks.
    """
    if isinstance(layer_map, Rule):
        raise ModelError(f"the layer map '{layer_map.rule}' needs the networks: call resolve() first")
    return layer_map


def blocks(names: Sequence[str], role: str, siblings: str | None = None) -> list[str]:
    """The blocks of a network, by the rule of this module's docstring.

    Args:
        names: its module names, in order.
        role: `"student"` or `"teacher"`, for messages.
        siblings: what comes before the number in the blocks' names, or the end of it; None finds the blocks.

    Raises:
        ModelError: there are none, or several that `siblings` fits.
    """
    parts = [name.split(".") for name in names]
    inside = Counter(".".join(part[:end]) for part in parts for end in range(1, len(part)))  # modules in each module
    groups: dict[str, list[str]] = {}
    for name in names:
        if numbered := re.fullmatch(r"(.*?)\.?\d+", name):
            groups.setdefault(numbered[1], []).append(name)
    nested = {stem: found for stem, group in groups.items() if (found := [name for name in group if name in inside])}
    if siblings is None:
        if nested:
            return max(nested.values(), key=lambda group: (len(group) > 1, sum(inside[name] for name in group)))
        raise ModelError(f"the {role} has no numbered blocks", hint="name the layers: pairs {student: teacher}")
    fitting = [siblings] if siblings in groups else [stem for stem in groups if stem.endswith("." + siblings)]
    if len(fitting) != 1:
        raise ModelError(
            f"the {role} has {'several' if fitting else 'no'} numbered layers '{siblings}'{nearest(siblings, groups)}",
            received=siblings,
            accepted=", ".join(fitting or nested or groups),
        )
    return groups[fitting[0]]


class PairLoss(Loss):
    """A loss that compares pairs of layers.

    Attributes:
        pairs: layers to compare: `{student layer: teacher layer}`, `uniform`, `last` or `skip`.
    """

    looks_inside: ClassVar[bool] = True
    pairs: LayerMap

    def resolve(self, layers: Layers) -> Self:
        """The loss with its pairs spelled out."""
        return self.model_copy(update={"pairs": dict(pairs(self.pairs, layers))})

    def compared(self) -> dict[str, str]:
        """The pairs, student's module name to teacher's."""
        return explicit(self.pairs)

    def taps(self) -> tuple[list[str], list[str]]:
        """The layers of all pairs."""
        return list(self.compared()), list(self.compared().values())
