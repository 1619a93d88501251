"""What is wrong with single fields of a recipe: pydantic's errors in the user's words and with the user's keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgekd.errors import nearest
from edgekd.family import MethodFieldsError
from edgekd.recipe_rules import Problem

UNITS = {"_ms": "milliseconds", "_s": "seconds", "_bytes": "bytes", "_points": "percentage points"}


def field_problems(
    error: ValidationError, model: type[BaseModel], prefix: tuple[str | int, ...], value: Any
) -> Iterator[Problem]:
    """The mistakes in `value`, which stands at `prefix` in the recipe and was validated as a `model`."""
    for item in error.errors():
        local, inner = _without_branches(item, value)
        location = prefix + local
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, MethodFieldsError):
            name = cause.method.method_name
            fields = cast(dict[str, Any], inner).get(name) if isinstance(inner, dict) else None
            yield from field_problems(cause.error, cause.method, (*location, name), fields)
            continue
        if item["type"] == "extra_forbidden":
            names = _fields_at(model, local[:-1])
            message = f"unknown key{nearest(str(local[-1]), names)} (accepted: {', '.join(names)})"
        elif item["type"] == "missing":
            message = "this key is required"
        elif item["type"] == "method":
            message = item["msg"]
        else:
            unit = _unit(local)
            message = f"{item['msg'].removeprefix('Value error, ')}{_received(item)}{unit}"
        yield Problem(location, message)


def _received(item: ErrorDetails) -> str:
    """A single value as given; a section is not repeated: what is wrong inside of it, the message says."""
    if not isinstance(item["input"], dict) or not item["input"]:
        return f", received {item['input']!r}"
    return "" if item["type"] == "value_error" else ", received a mapping"


def _unit(location: tuple[str | int, ...]) -> str:
    name = next((part for part in reversed(location) if isinstance(part, str)), "")
    for suffix, unit in UNITS.items():
        if name.endswith(suffix):
            return f" (a plain number of {unit})"
    return ""


def _without_branches(item: ErrorDetails, value: Any) -> tuple[tuple[str | int, ...], Any]:
    """A mistake's location without the names that pydantic adds for the branches of a union, and what stands there.

    Such a name, unlike a key, is nowhere in `value`; a key that is not there is the last one, and missing.
    """
    found: list[str | int] = []
    for position, part in enumerate(item["loc"], 1):
        if isinstance(value, dict) and part in value:
            value = cast(dict[Any, Any], value)[part]
        elif isinstance(value, list) and isinstance(part, int):
            items = cast(list[Any], value)
            value = items[part] if part < len(items) else None  # too few were given
        elif position < len(item["loc"]) or not isinstance(value, dict | None) or not _absent(item):
            continue
        found.append(part)
    return tuple(found), cast(Any, value)


def _absent(item: ErrorDetails) -> bool:
    """The mistake is that nothing was given: the key is required, or its default does not fit."""
    return item["type"] == "missing" or item["input"] is None


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        inner = None if field is None else _model_in(field.annotation)
        model = inner or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
