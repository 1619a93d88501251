"""The report document: every number of a run, typed. What was not measured is None and carries a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from edgekd.compress.description import KeptFloat
from edgekd.errors import StoreError

Fraction = Annotated[float, Field(ge=0, le=1)]
NO_REASON = "the run gave no reason"
TEACHING = ("teacher", "ensemble")
"""Roles that taught the student, the first one there being the teacher that it is compared with."""


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


class Environment(Facts):
    """The machine and the versions that the run was made with."""

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    os: str | None = None
    python: str | None = None
    machine_id: str | None = None
    instruction_sets: list[str] = []
    versions: dict[str, str | None] = {}


class DomainShift(Facts):
    """Calibration images against training images, per channel.

    Attributes:
        channel_mean_shift: difference of the means, in standard deviations of the training data.
        channel_std_ratio: standard deviation of the calibration images over that of the training images.
    """

    channel_mean_shift: list[float]
    channel_std_ratio: list[float]


class TokenShift(Facts):
    """Calibration texts against training texts.

    Attributes:
        unseen_share: share of the calibration texts' tokens that no training text has.
        unknown_share: share of tokens that the tokenizer's vocabulary lacks; None when it lacks none.
        train_unknown_share: the same of the training texts.
        median_length: in tokens.
        train_median_length: in tokens.
    """

    unseen_share: Fraction
    unknown_share: Fraction | None
    train_unknown_share: Fraction | None
    median_length: float
    train_median_length: float


class Calibration(Facts):
    """The samples that decided the quantization ranges."""

    samples: int = Field(ge=0)
    source: str | None = None
    coverage: dict[str, int] | None = None
    sha256: str | None = None
    overlap_removed: int | None = None
    domain_shift: DomainShift | TokenShift | None = None
    warnings: list[str] = []


class Data(Facts):
    """What the run was trained, selected and scored on. `counts` is split -> class -> images, texts or tokens."""

    kind: Literal["image", "text"] = "image"
    task: str | None = None
    reader: JsonValue = None
    classes: list[str]
    counts: dict[str, dict[str, int]]
    sha256: str | None = None
    licence: str | None = None
    warnings: list[str] = []
    calibration: Calibration | None = None

    @property
    def counted(self) -> str:
        """What has a class, in the plural."""
        return "labelled tokens" if self.task == "token_classification" else f"{self.kind}s"


class Accuracy(Facts):
    """Top-1 accuracy in [0, 1] over `samples` images, texts or labelled tokens.

    Attributes:
        split: which split was scored.
        arithmetic: `fused`: the runtime's own kernels; `reference`: graph fusion off, because the artifact was made
            for another instruction set. None for a network in its training framework.
        runtime: what ran the file, when that is not the runtime it was made for.
    """

    value: Fraction
    samples: int = Field(gt=0)
    split: str = "test"
    arithmetic: Literal["fused", "reference"] | None = None
    runtime: str | None = None


class WorstClass(Part):
    """A class that is often missed: its recall, and the class that is mostly chosen instead."""

    name: str
    recall: Fraction
    samples: int
    mistaken_for: str | None = None


class Quality(Facts):
    """What accuracy alone does not show.

    Attributes:
        macro_f1: mean of the classes' F1: rare classes count as much as frequent ones.
        calibration_error: expected calibration error over 15 bins; None where the outputs are no probabilities.
        worst_classes: the ten classes of lowest recall.
        cosine_with_teacher: mean cosine of the embeddings with the teacher's; None where there are none to compare.
    """

    macro_f1: Fraction
    calibration_error: Fraction | None
    worst_classes: list[WorstClass]
    cosine_with_teacher: float | None = None


class Epoch(Facts):
    """One epoch of training."""

    epoch: int
    train_loss: float | None = None
    terms: dict[str, float] = {}
    validation_accuracy: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None


class Network(Reasoned):
    """A network in its training framework.

    Attributes:
        macs: multiply-accumulate operations of one forward pass of one sample.
        macs_tokens: how many tokens that sample has; None for an image.
        size_bytes: its float32 checkpoint.
        agreement_with_teacher: share of the test split on which it answers as the teacher does.
        history: None when it was not trained in this run.
        steps: optimisation steps that it was trained for in this run.
    """

    role: str
    name: str
    parameters: int | None = None
    macs: int | None = None
    macs_tokens: int | None = None
    size_bytes: int | None = None
    accuracy: Accuracy | None = None
    agreement_with_teacher: Fraction | None = None
    quality: Quality | None = None
    history: list[Epoch] | None = None
    steps: int | None = None


class Forgetting(Part):
    """Test accuracy on an old task, before and after a student learnt the new one."""

    role: str
    samples: int
    before: Fraction | None
    after: Fraction | None


class Temperature(Part):
    """The teacher's soft labels at one temperature: mean entropy in bits, mean probability of the first choice."""

    temperature: float = Field(gt=0)
    entropy_bits: float = Field(ge=0)
    top1_probability: Fraction


class Parity(Facts):
    """The exported file against the torch model: differences of the logits."""

    max_abs_error: float | None
    mean_abs_error: float | None
    relative_max_error: float | None
    top1_agreement: Fraction | None
    samples: int


class Quantization(Facts):
    """What of an artifact runs in integers."""

    weight_bits: int
    method: JsonValue
    quantized: list[str]
    kept_float: list[KeptFloat] = []


class Latency(Facts):
    """Latency of one batch at one batch size and thread count; `reason` says why figures are None.

    `others_busy_cores`: cores that everything but the timed process kept busy meanwhile, on average.
    `sequence_length`: tokens per text; None for images.
    """

    batch_size: int
    threads: int
    runs: int | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    std_ms: float | None = None
    throughput_per_s: float | None = None
    reason: str | None = None
    others_busy_cores: float | None = None
    others_busy_reason: str | None = None
    sequence_length: int | None = None


class Measurement(Facts):
    """What the agent measured of one artifact.

    Attributes:
        warnings: what makes its figures doubtful.
        machine: the machine's facts as the agent saw them; kept in the JSON, not rendered.
        processes: the agent's answer for each thread count; kept in the JSON, not rendered.
    """

    latency: list[Latency]
    cold_start_ms: float | None = None
    cold_start_reason: str | None = None
    peak_rss_above_runtime_bytes: int | None = None
    peak_rss_reason: str | None = None
    cpu: str | None = None
    warnings: list[str] = []
    machine: JsonValue = None
    processes: JsonValue = None


class Exported(Reasoned):
    """One exported file set. `not_measured` says why accuracy, parity or measurement are None."""

    target: str
    model: str
    format: str
    precision: str
    runtime: str
    path: str
    size_bytes: int | None = None
    accuracy: Accuracy | None = None
    agreement_with_teacher: Fraction | None = None
    quality: Quality | None = None
    parity: Parity | None = None
    quantization: Quantization | None = None
    measurement: Measurement | None = None
    notes: dict[str, JsonValue] = {}

    @property
    def label(self) -> str:
        """`onnx int8`, with the network when it is not the student."""
        return f"{self.format} {self.precision}" + ("" if self.model == "student" else f" ({self.model})")

    @model_validator(mode="after")
    def _missing_has_reason(self) -> Self:
        for field in ("accuracy", "parity", "measurement"):
            if getattr(self, field) is None and self.reason(field) == NO_REASON:
                raise ValueError(f"'{field}' is null, and 'not_measured' gives no reason")
        return self


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
    reasons: list[str] = []


class SearchTrial(Part):
    """One trial of a search; figures are None where it was stopped early (`pruned`), or failed, for `reason`.

    `epochs` counts those that were reported, `accuracy` is of the validation split.
    """

    number: int
    state: Literal["complete", "pruned", "fail", "running"]
    values: dict[str, JsonValue]
    accuracy: Fraction | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    reason: str | None = None


class Search(Part):
    """The search whose winner the run is.

    Attributes:
        fraction: share of the training split that trials learnt from.
        space: key of the recipe to its range or choices.
        best: number of the winning trial.
        importances: key to its share; None for `importances_reason`.
        front: numbers of the complete trials that no other beats in both accuracy and parameters, smallest first.
    """

    objectives: list[str]
    fraction: Fraction
    validation_samples: int
    space: dict[str, dict[str, JsonValue]]
    best: int
    importances: dict[str, float] | None = None
    importances_reason: str | None = None
    front: list[int]
    trials: list[SearchTrial]


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
    forgetting: list[Forgetting] = []
    gates: list[Gate]
    targets: list[Board]
    search: Search | None = None
    warnings: list[str] = []

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
