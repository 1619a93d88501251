"""Export: the folded program, in float or with its quantization, becomes the files that a runtime opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgekd.errors import EdgekdError, ExportError, cause_of, nearest
from edgekd.export.format import FORMATS, Exported, Format, Precision

if TYPE_CHECKING:
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules

__all__ = ["FORMATS", "ExportSection", "Exported", "Format", "Precision", "export"]


class ExportSection(BaseModel):
    """The recipe's `export` block.

    Attributes:
        formats: names of formats; null takes what each target prefers.
        precisions: which variants to write, each measured and scored on its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    formats: list[str] | None = None
    precisions: list[Precision] = Field(default=["float32", "int8"], min_length=1)

    @field_validator("formats", "precisions")
    @classmethod
    def _named_once(cls, value: list[str] | None) -> list[str] | None:
        if value and len(set(value)) < len(value):
            raise ValueError("a name is given twice")
        return value

    @field_validator("formats")
    @classmethod
    def _known(cls, value: list[str] | None) -> list[str] | None:
        names = FORMATS.names()
        for name in value or []:
            if name not in names:
                raise ValueError(f"there is no format '{name}'{nearest(name, names)} (accepted: {', '.join(names)})")
        if value == []:
            raise ValueError("give at least one format, or null for what the target prefers")
        return value


def export(
    program: Program,
    description: Description | None,
    method: Format,
    folder: Path,
    rules: QuantizationRules,
) -> Exported:
    """Writes one format of one precision into `folder`.

    Args:
        program: the folded float network.
        description: its quantization; None writes float32.
        method: the format.
        folder: created if it is not there; holds nothing else afterwards.
        rules: what the target imposes on integers.

    Raises:
        ExportError: the format has no such precision, cannot express the network, or wrote nothing usable.
        MissingBackend: the format's tools are not installed.
    """
    precision: Precision = "float32" if description is None else "int8"
    if precision not in method.precisions:
        raise ExportError(
            f"the format {method.method_name} has no {precision}",
            received=precision,
            accepted=", ".join(method.precisions),
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        exported = method.export(program, description, folder, rules)
    except (EdgekdError, OSError, MemoryError):
        raise
    except Exception as error:  # the border to converters, which share no base class of what they raise
        raise ExportError(
            f"the format {method.method_name} failed on this network", received=cause_of(error)
        ) from error
    if not (folder / exported.entry).is_file():
        raise ExportError(f"the format {method.method_name} did not write its entry file", where=exported.entry)
    return exported
