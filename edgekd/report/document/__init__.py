"""The report document: every number of a run, typed. What was not measured is None and carries a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from edgekd.errors import StoreError
from edgekd.report.document.artifacts import Exported
from edgekd.report.document.data import Data
from edgekd.report.document.networks import Forgetting, Network, Temperature
from edgekd.report.document.parts import Facts, Part
from edgekd.report.document.search import Search

TEACHING = ("teacher", "ensemble")
"""Roles that taught the student, the first one there being the teacher that it is compared with."""


class Environment(Facts):
    """The machine and the versions that the run was made with."""

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    os: str | None = None
    python: str | None = None
    machine_id: str | None = None
    instruction_sets: list[str] = Field(default=[])
    versions: dict[str, str | None] = Field(default={})


class Gate(Part):
    """One limit and its verdict. `passed` is None where the value was not measured, with the reason."""

    gate: str
    where: str
    limit: float | None
    value: float | None
    unit: str
    passed: bool | None
    reason: str | None = None

    @model_validator(mode="after")
    def _undecided_has_reason(self) -> Self:
        if self.passed is None and not self.reason:
            raise ValueError("an undecided gate must say why in 'reason'")
        return self


class Board(Part):
    """A target of the run; `reasons` say why this machine is not it."""

    name: str
    title: str
    this_machine: bool
    reasons: list[str] = Field(default=[])


class Document(Part):
    """One run."""

    report_version: Literal[1]
    name: str
    recipe: dict[str, JsonValue]
    environment: Environment
    data: Data
    models: list[Network]
    temperatures: list[Temperature] | None = None
    temperature_max_entropy_bits: float | None = None
    artifacts: list[Exported]
    forgetting: list[Forgetting] = Field(default=[])
    gates: list[Gate]
    targets: list[Board]
    search: Search | None = None
    warnings: list[str] = Field(default=[])

    @model_validator(mode="after")
    def _targets_are_listed(self) -> Self:
        known = {board.name for board in self.targets}
        unknown = sorted({artifact.target for artifact in self.artifacts} - known)
        if unknown:
            raise ValueError(f"artifacts of targets that 'targets' does not list: {', '.join(unknown)}")
        return self

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Document:
        """The typed document.

        Raises:
            StoreError: it does not fit the schema; every mismatch with its path.
        """
        try:
            json.dumps(document, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StoreError(
                "the report document holds what JSON cannot", where="report.json", received=error
            ) from error
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            paths = [".".join(map(str, item["loc"])) or "document" for item in error.errors()]
            lines = [f"{path}: {item['msg']}" for path, item in zip(paths, error.errors(), strict=True)]
            raise StoreError(
                "the report document does not fit its schema",
                where="\n            ".join(lines),
                accepted="the fields of edgekd.report.document.Document",
                hint="write it again: edgekd run RECIPE",
            ) from error

    def network(self, role: str) -> Network | None:
        """The network of one role, or None."""
        return next((network for network in self.models if network.role == role), None)

    @property
    def teacher(self) -> Network | None:
        """Who taught: the one teacher, or the ensemble of several."""
        return next((found for role in TEACHING if (found := self.network(role))), None)

    def all_warnings(self) -> list[str]:
        """Warnings of the run, the data, the calibration set and the timings, each once."""
        calibration = self.data.calibration.warnings if self.data.calibration else []
        timed = [artifact for artifact in self.artifacts if artifact.measurement]
        doubtful = sum(bool(artifact.measurement and artifact.measurement.warnings) for artifact in timed)
        timing = f"{doubtful} of {len(timed)} timings are doubtful; the target's section says why"
        return list(dict.fromkeys([*self.warnings, *self.data.warnings, *calibration, *([timing] if doubtful else [])]))
