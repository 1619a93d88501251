"""Target: a board profile, loaded from `targets/*.yaml`. Every number in a profile carries its unit and a source.

A number's unit is the ending of its key (`clock_max_ghz: 2.4`), and the mapping it stands in has a `source`: the public
document that says so. A profile that breaks either rule is refused. A user's own board is the same kind of file, named
by its path instead of its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgekd.artifact import Artifact, Precision
from edgekd.benchmark.agent import device
from edgekd.errors import TargetError, nearest
from edgekd.gates import HOST
from edgekd.yaml_file import read_yaml

if TYPE_CHECKING:
    from edgekd.compress.rules import QuantizationRules

UNITS = ("_count", "_index", "_bits", "_ghz", "_gib", "_gb", "_gb_per_s", "_w")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InstructionSets(_Part):
    """CPU features, as the `flags` or `Features` line of /proc/cpuinfo names them.

    Attributes:
        required: what the machine must have.
        absent: what it must not have, because the runtimes would then choose other kernels than this board's.
    """

    required: list[str] = Field(min_length=1)
    absent: list[str] = Field(default_factory=list)
    source: str


class Cpu(_Part):
    """The cores that an artifact may use."""

    name: str
    cores_count: int = Field(ge=1)
    clock_max_ghz: float | None = Field(default=None, gt=0)
    source: str


class Memory(_Part):
    """Main memory; on a Jetson the GPU shares it."""

    capacity_gib: float = Field(gt=0)
    bandwidth_gb_per_s: float | None = Field(default=None, gt=0)
    source: str


class Accelerator(_Part):
    """Something beside the CPU that runs a network."""

    name: str
    kind: Literal["gpu", "dla", "npu"]
    cuda_cores_count: int | None = None
    tensor_cores_count: int | None = None
    instances_count: int = 1
    source: str


class RuntimeRow(_Part):
    """One combination of versions that belong together; several rows are several possible installations."""

    name: str
    version: str
    jetpack: str | None = None
    jetson_linux: str | None = None
    cuda: str | None = None
    cudnn: str | None = None
    source: str


class FormatRow(_Part):
    """A format this board runs, in these precisions. `note` says why one is missing, or what to know."""

    name: str
    precisions: list[Precision] = Field(min_length=1)
    note: str | None = None
    source: str | None = None


class Rule(_Part):
    """What the board imposes on the artifacts made for it.

    Attributes:
        weight_bits: integers that weights may use; 7 where 16-bit intermediates would saturate.
        operators: operators of the file that do not run here.
        formats: the formats that the rule is about; empty: all.
    """

    weight_bits: Literal[7, 8] | None = None
    operators: list[str] = Field(default_factory=list)
    formats: list[str] = Field(default_factory=list)
    reason: str
    source: str


class PowerMode(_Part):
    """One mode of nvpmodel; no `limit_w` where the mode has no cap."""

    name: str
    mode_index: int = Field(ge=0)
    limit_w: float | None = Field(default=None, gt=0)
    source: str


class Storage(_Part):
    """Where the board keeps its files."""

    kind: str
    capacity_gb: float | None = Field(default=None, gt=0)
    source: str


class Target(_Part):
    """A board, or an instruction set where the machine around it is open.

    Attributes:
        name: the file's name without its ending.
        device_tree_model: part of /proc/device-tree/model by which a board is recognised; None: any machine will do.
        cpu: None for an instruction set.
        memory: None for an instruction set.
        formats: in order of preference.
    """

    name: str
    title: str
    architecture: Literal["x86_64", "aarch64"]
    device_tree_model: str | None = None
    instruction_sets: InstructionSets
    cpu: Cpu | None = None
    memory: Memory | None = None
    accelerators: list[Accelerator] = []
    runtimes: list[RuntimeRow] = Field(min_length=1)
    formats: list[FormatRow] = Field(min_length=1)
    rules_list: list[Rule] = Field(default=[], alias="rules")
    power_modes: list[PowerMode] = []
    storage: Storage | None = None

    @model_validator(mode="before")
    @classmethod
    def _numbers_have_unit_and_source(cls, value: Any) -> Any:
        problems = list(_unsourced(value, ()))
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @classmethod
    def names(cls) -> list[str]:
        """Names of the shipped profiles, sorted."""
        return sorted(path.stem for path in _folder().glob("*.yaml"))

    @classmethod
    def load(cls, name: str) -> Target:
        """The profile called `name`: a shipped one, `host` for this machine's, or the path of a .yaml file.

        Raises:
            TargetError: there is none, or the file is no valid profile.
        """
        if name == HOST:
            return cls.host()
        if name.endswith((".yaml", ".yml")):
            return _read(Path(name))
        if name not in cls.names():
            raise TargetError(
                f"there is no target '{name}'{nearest(name, [*cls.names(), HOST])}",
                received=name,
                accepted=", ".join([*cls.names(), HOST, "or the path of a .yaml profile"]),
                hint="edgekd targets lists what each of them is",
            )
        return _read(_folder() / f"{name}.yaml")

    @classmethod
    def host(cls) -> Target:
        """The shipped profile this machine satisfies; of several, the one that asks for most.

        Raises:
            TargetError: none fits, with each profile's reasons.
        """
        reasons: dict[str, list[str]] = {}
        fits: list[Target] = []
        for name in cls.names():
            target = cls.load(name)
            reasons[name] = target.matches_host()
            if not reasons[name]:
                fits.append(target)
        if not fits:
            listed = "".join(f"\n    {name}: {'; '.join(why)}" for name, why in reasons.items())
            raise TargetError(
                "no shipped target describes this machine",
                received=device.cpu_model() or device.architecture(),
                accepted=listed,
                hint="copy the nearest profile to my-board.yaml, correct it, and name its path as the target",
            )
        return max(fits, key=lambda fit: (fit.device_tree_model is not None, len(fit.instruction_sets.required)))

    def rules(self, format: str) -> QuantizationRules:
        """What this board imposes on the integers of a format."""
        from edgekd.compress.rules import QuantizationRules

        return QuantizationRules(weight_bits=self._weight_bits(format))

    def format_names(self) -> list[str]:
        """The formats this board runs, the preferred one first."""
        return [row.name for row in self.formats]

    def format_reasons(self, format: str, precision: str) -> list[str]:
        """Why this board does not run a format in a precision; empty: it does."""
        row = next((row for row in self.formats if row.name == format), None)
        if row is None:
            names = self.format_names()
            return [f"it does not run '{format}'{nearest(format, names)} (accepted: {', '.join(names)})"]
        if precision not in row.precisions:
            note = f": {row.note}" if row.note else ""
            return [f"it does not run '{format}' in {precision} (accepted: {', '.join(row.precisions)}){note}"]
        return []

    def runs(self, precision: str, formats: Sequence[str] | None = None) -> list[str]:
        """The formats that this board runs in a precision, of those named or of all, in their order."""
        return [name for name in formats or self.format_names() if not self.format_reasons(name, precision)]

    def check(self, artifact: Artifact) -> list[str]:
        """Why an artifact does not fit this board; empty: it fits.

        Looks at format and precision, the size of its files against the memory, the operators that the exporter
        listed in `notes["operators"]`, and the bits of its weights.
        """
        reasons = self.format_reasons(artifact.format, artifact.precision)
        size = sum(record.size_bytes for record in artifact.files.values())
        if self.memory is not None and size > self.memory.capacity_gib * 2**30:
            reasons.append(f"its files have {size} bytes, the board has {self.memory.capacity_gib:g} GiB of memory")
        operators = set(cast(list[str], artifact.notes.get("operators") or []))
        for rule in self.rules_list:
            hit = sorted(operators & set(rule.operators))
            if hit and (not rule.formats or artifact.format in rule.formats):
                reasons.append(f"it uses {', '.join(hit)}: {rule.reason}")
        bits = (artifact.quantization or {}).get("weight_bits")
        safe = self._weight_bits(artifact.format)
        if isinstance(bits, int) and bits > safe:
            why = next(rule.reason for rule in self.rules_list if rule.weight_bits == safe)
            reasons.append(f"its weights use {bits} bits, {safe} are safe here: {why}")
        return reasons

    def matches_host(self) -> list[str]:
        """Why the machine this runs on is not this board; empty: it is."""
        machine = device.architecture()
        if machine != self.architecture:
            return [f"this machine is {machine}, not {self.architecture}"]
        flags = set(device.cpu_flags())
        reasons: list[str] = []
        missing = [flag for flag in self.instruction_sets.required if flag not in flags]
        if missing:
            reasons.append(f"this machine's CPU has no {', '.join(missing)}")
        surplus = [flag for flag in self.instruction_sets.absent if flag in flags]
        if surplus:
            reasons.append(f"this machine's CPU has {', '.join(surplus)}, so its kernels are others than this target's")
        if self.device_tree_model is not None:
            model = device.device_tree_model()
            if model is None or self.device_tree_model not in model:
                found = model or "no board with a device tree"
                reasons.append(f"this machine is {found}, not {self.device_tree_model}")
        return reasons

    def _weight_bits(self, format: str) -> Literal[7, 8]:
        for rule in self.rules_list:
            if rule.weight_bits is not None and (not rule.formats or format in rule.formats):
                return rule.weight_bits
        return 8


def _folder() -> Path:
    """The shipped profiles: in the package when installed from a wheel, at the top of a checkout otherwise."""
    package = Path(__file__).resolve().parent
    installed = package / "_targets"
    return installed if installed.is_dir() else package.parent / "targets"


def _read(path: Path) -> Target:
    try:
        place = path.expanduser()
        return _parsed(place, place.stat().st_mtime_ns)
    except (OSError, ValueError, RuntimeError) as error:  # the last where there is no such user
        raise TargetError(f"the target profile cannot be read: {error}", where=path) from error


@lru_cache(maxsize=64)
def _parsed(path: Path, modified_ns: int) -> Target:
    """The profile in a file, for as long as the file is not changed."""
    _, raw = read_yaml(path, "target profile", TargetError)
    if not isinstance(raw, dict):
        raise TargetError("a target profile is a mapping", where=path, received=type(raw).__name__)
    try:
        return Target.model_validate({**cast(dict[str, Any], raw), "name": path.stem})
    except ValidationError as error:
        lines = "".join(
            f"\n    {'.'.join(map(str, item['loc'])) or '(top)'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise TargetError("the target profile is not valid", where=path, received=lines) from error


def _unsourced(value: Any, path: tuple[str, ...], sourced: bool = False) -> Iterator[str]:
    """Every number below `value` whose key has no unit, or whose mapping has no source."""
    if isinstance(value, Mapping):
        inner = cast(Mapping[str, Any], value)
        for key, item in inner.items():
            yield from _unsourced(item, (*path, str(key)), bool(inner.get("source")))
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _unsourced(item, path, sourced)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        key = path[-1] if path else ""
        if not key.endswith(UNITS):
            yield f"the number {'.'.join(path)}: {value} has no unit in its key (accepted endings: {', '.join(UNITS)})"
        if not sourced:
            yield f"the number {'.'.join(path)}: {value} has no 'source' beside it"
