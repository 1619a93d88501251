"""Gates: the limits a run must keep. A breach fails the run with its figures; what was made is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PerTarget = float | dict[str, float]
HOST = "host"
"""Stands for this machine's target, here as among a recipe's targets."""


class GatesSection(BaseModel):
    """The `gates:` block of a recipe.

    Attributes:
        float_relative_error: largest |file - torch| over the largest |torch| logit, for float files; and of what a file
            answers to single samples against what it answers to them in batches.
        int8_agreement: smallest share of samples on which an INT8 file and the float torch model choose the same class;
            and on which the file does, alone and in batches.
        accuracy_drop_points: largest loss of test accuracy of any file against its float torch model, in points.
        latency_p50_ms: budget at batch 1 with the best thread count, one number or one per target; None: no budget.
        peak_rss_bytes: budget above the empty runtime, one number or one per target; None: no budget.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    float_relative_error: float = Field(default=1e-3, gt=0)
    int8_agreement: float = Field(default=0.95, ge=0, le=1)
    accuracy_drop_points: float = Field(default=1.0, ge=0, le=100)
    latency_p50_ms: PerTarget | None = None
    peak_rss_bytes: PerTarget | None = None


def judge(
    section: GatesSection, artifact: Mapping[str, Any], float_accuracy: float | None, *, is_host: bool = False
) -> list[dict[str, Any]]:
    """Every gate of one artifact of the report document.

    Args:
        section: the limits.
        artifact: one element of the document's `artifacts`.
        float_accuracy: test accuracy of the torch model it was exported from, in [0, 1].
        is_host: its target is this machine, so that it has the budget of `host` where it has none of its own.

    Returns:
        Rows `{"gate", "where", "limit", "value", "unit", "passed", "reason"}`; `passed` is None where the value was
        not measured, with the reason. A file that failed before it was scored has none.
    """
    if artifact.get("failed") and artifact["parity"] is None:
        return []
    rows: list[dict[str, Any]] = []
    where = f"{artifact['target']}/{artifact['path'].rsplit('/', 1)[-1]}"
    accuracy, measurement = artifact["accuracy"], artifact["measurement"]

    def add(gate: str, limit: float, value: float | None, unit: str, reason: str, *, at_least: bool = False) -> None:
        passed = None if value is None else (value >= limit if at_least else value <= limit)
        row = {"gate": gate, "where": where, "limit": limit, "value": value, "unit": unit}
        rows.append({**row, "passed": passed, "reason": reason if passed is None else None})

    compared = {"parity": artifact["parity"]}
    if artifact.get("alone") is not None:
        compared["batch"] = artifact["alone"]
    for gate, found in compared.items():
        if found is None or artifact["precision"] == "float32":
            error = None if found is None else found["relative_max_error"]
            add(gate, section.float_relative_error, error, "relative", "the file was not run")
        else:
            # An embedding has no classes to agree on: the mean cosine of the two answers takes their place.
            agreement, unit = found["top1_agreement"], "agreement"
            if agreement is None and "cosine_mean" in found:
                agreement, unit = found["cosine_mean"], "mean cosine"
            add(gate, section.int8_agreement, agreement, unit, "no sample was run", at_least=True)
    drop = None if accuracy is None or float_accuracy is None else (float_accuracy - accuracy["value"]) * 100
    add("accuracy_drop", section.accuracy_drop_points, drop, "points", "no labelled test split")
    for gate, budget, unit in (("latency", section.latency_p50_ms, "ms"), ("memory", section.peak_rss_bytes, "bytes")):
        own = budget.get(artifact["target"]) if isinstance(budget, dict) else budget
        limit = budget.get(HOST) if own is None and is_host and isinstance(budget, dict) else own
        if limit is not None:
            value, reason = _measured(gate, measurement) if measurement else (None, artifact["not_measured"])
            add(gate, limit, value, unit, reason)
    return rows


def _measured(gate: str, measurement: Mapping[str, Any]) -> tuple[float | None, str]:
    """The value that a budget is held against, and why there is none."""
    if gate == "memory":
        return measurement["peak_rss_above_runtime_bytes"], measurement.get("peak_rss_reason") or "not measured"
    reasons = [row["reason"] for row in measurement["latency"] if row.get("reason")]
    return best_latency_ms(measurement), "; ".join(dict.fromkeys(reasons)) or "nothing was timed"


def best_latency_ms(measurement: Mapping[str, Any]) -> float | None:
    """The smallest p50 at the smallest measured batch size, over the thread counts; None when nothing was timed.

    Texts: at the first sequence length that was measured.
    """
    every = measurement["latency"]
    rows = [row for row in every if row["p50_ms"] is not None]
    rows = [row for row in rows if row.get("sequence_length") == every[0].get("sequence_length")]
    smallest = min((row["batch_size"] for row in rows), default=None)
    return min((row["p50_ms"] for row in rows if row["batch_size"] == smallest), default=None)
