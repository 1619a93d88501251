"""This machine, for reports and for the keys of measurements. No timings, no momentary facts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from edgekd.backends import versions
from edgekd.benchmark.agent import device

DISTRIBUTIONS = (
    "edgekd",
    "torch",
    "torchvision",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "litert-torch",
    "nncf",
    "timm",
)


def machine_key() -> dict[str, Any]:
    """What a measurement depends on, for its key: CPU, instruction sets, cores, memory, board, kernel."""
    facts = device.steady_facts()
    flags = hashlib.sha256(" ".join(facts["instruction_sets"]).encode()).hexdigest()[:16]
    return {
        "cpu": facts["cpu"],
        "board": facts["board"],
        "architecture": facts["architecture"],
        "flags": flags,
        "cores": facts["cores"],
        "memory_bytes": facts["memory_bytes"],
        "kernel": facts["kernel"],
    }


def machine_id() -> str:
    """Sixteen hex digits that change when any of `machine_key` does."""
    return hashlib.sha256(json.dumps(machine_key(), sort_keys=True).encode()).hexdigest()[:16]


def environment() -> dict[str, Any]:
    """The report's `environment`: the machine, its Python, and the versions of what measures and exports."""
    facts = device.steady_facts()
    return {**facts, "machine_id": machine_id(), "versions": versions(*DISTRIBUTIONS)}
