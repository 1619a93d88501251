"""Bases of the document's parts. What was not measured is None and carries a reason."""

# Annotations are not postponed here: pydantic would look up that of `__pydantic_extra__` in each subclass's module.
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Fraction = Annotated[float, Field(ge=0, le=1)]
NO_REASON = "the run gave no reason"


class Part(BaseModel):
    """A part of the document whose fields are all known: anything else is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Facts(BaseModel):
    """A part that a stage may extend with facts of its own; the renderings list them."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    def extras(self) -> dict[str, JsonValue]:
        """The facts that the schema does not name."""
        return dict(self.model_extra or {})


class Reasoned(Part):
    """A part that says why fields of it are None: one reason, or a reason per field."""

    not_measured: str | dict[str, str] | None = None

    def reason(self, field: str) -> str:
        """Why `field` is None."""
        why = self.not_measured
        return (why.get(field) if isinstance(why, dict) else why) or NO_REASON
