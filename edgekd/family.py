"""Families of methods: one folder, one file per method, found by file name.

A `Method` is a frozen pydantic model whose fields are its hyperparameters and whose one verb is its algorithm. A
`Family` lists its folder without importing it, and imports a single file when a recipe names it. In a recipe a method
is its name alone, or a mapping with that one key:

    losses:
      - ce
      - kl: {temperature: 4, weight: 0.9}

Method files import only the standard library, numpy, pydantic and light edgekd modules at their top; torch and the
runtimes are imported inside the verb, so that reading a recipe stays fast.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from edgekd.errors import nearest


class Method(BaseModel):
    """Base of everything a recipe can name. Fields are hyperparameters, units in their names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    method_name: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Names the method after its file."""
        cls.method_name = cls.__module__.rpartition(".")[2]

    @model_serializer(mode="wrap")
    def _with_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.method_name: handler(self)}


M = TypeVar("M", bound=Method)


class MethodFieldsError(ValueError):
    """Wrong fields of one method; `recipe.py` unfolds it into one line per field."""

    def __init__(self, method: type[Method], error: ValidationError) -> None:
        self.method = method
        self.error = error
        super().__init__(str(error))


@dataclass(frozen=True)
class Family(Generic[M]):
    """The methods of one folder.

    Attributes:
        package: dotted name of the folder, e.g. `"edgekd.distill.losses"`.
        base: the contract every file implements with exactly one subclass.
    """

    package: str
    base: type[M]

    def _folder(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(f"{self.package} is not a package")
        return Path(next(iter(spec.submodule_search_locations)))

    def names(self) -> list[str]:
        """Every method's name, sorted; imports no method file."""
        return sorted(path.stem for path in self._folder().glob("*.py") if not path.stem.startswith("_"))

    def docstrings(self) -> dict[str, str]:
        """Each method's name with its file's docstring, read without importing it."""
        return {name: docstring_of(self._folder() / f"{name}.py") for name in self.names()}

    def summaries(self) -> dict[str, str]:
        """Each method's name with the first line of its docstring."""
        return {name: text.split("\n")[0] for name, text in self.docstrings().items()}

    def load(self, name: str) -> type[M]:
        """Imports the file called `name` and returns its one method.

        Raises:
            KeyError: there is no such file; the message offers the nearest name.
            TypeError: the file does not define exactly one subclass of the family's base.
        """
        if name not in self.names():
            accepted = ", ".join(self.names())
            raise KeyError(f"there is no '{name}' here{nearest(name, self.names())} (accepted: {accepted})")
        module = importlib.import_module(f"{self.package}.{name}")
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, self.base) and value.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise TypeError(f"{module.__name__} must define exactly one {self.base.__name__}, found {len(found)}")
        return found[0]

    def parse(self, value: object, context: object = None) -> M:
        """A method from its recipe form: an instance, `"name"`, or `{"name": {field: value}}`.

        Raises:
            PydanticCustomError: not a recipe form, or a name that does not exist.
            MethodFieldsError: the name exists, its fields are wrong.
        """
        if isinstance(value, self.base):
            return value
        if isinstance(value, str):
            name, fields = value, cast(Mapping[str, Any], {})
        elif isinstance(value, Mapping) and len(cast(Mapping[Any, Any], value)) == 1:
            name, fields = next(iter(cast(Mapping[Any, Any], value).items()))
            fields = cast(Mapping[str, Any], {} if fields is None else fields)
        else:
            accepted = ", ".join(self.names())
            raise PydanticCustomError(
                "method",
                "give one name, or one name with its options as '{form}' (accepted: {accepted})",
                {"form": "name: {option: value}", "accepted": accepted},
            )
        try:
            method = self.load(str(name))
        except KeyError as error:
            raise PydanticCustomError("method", "{reason}", {"reason": str(error.args[0])}) from error
        try:
            return method.model_validate(fields, context=context)
        except ValidationError as error:
            raise MethodFieldsError(method, error) from error

    def json_schema(self) -> dict[str, Any]:
        """JSON schema of the recipe form; imports every file of the family."""
        options: list[dict[str, Any]] = []
        plain: list[str] = []
        for name, summary in self.summaries().items():
            fields = _inlined(self.load(name).model_json_schema(mode="validation"))
            if not fields.get("required"):
                plain.append(name)
            options.append(
                {
                    "type": "object",
                    "properties": {name: fields},
                    "required": [name],
                    "additionalProperties": False,
                    "description": summary,
                }
            )
        return {"anyOf": [{"enum": plain}, *options]}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without `$ref`: a method's definitions may clash with those of the recipe's `$defs`."""
    definitions = schema.get("$defs", {})

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            mapping = cast(dict[str, Any], value)
            if "$ref" in mapping:
                return walk(definitions[mapping["$ref"].removeprefix("#/$defs/")])
            return {key: walk(item) for key, item in mapping.items() if key != "$defs"}
        if isinstance(value, list):
            return [walk(item) for item in cast(list[Any], value)]
        return value

    return walk(schema)


@dataclass(frozen=True)
class OneOf:
    """Annotation for a recipe field: `losses: list[Annotated[Loss, OneOf(LOSSES)]]`."""

    family: Family[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            lambda value, info: self.family.parse(value, info.context),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.model_dump(mode="json")),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.family.json_schema()


def docstring_of(path: Path) -> str:
    """A source file's docstring, read without importing it; empty where it has none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
