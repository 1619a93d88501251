"""Three realistic documents: a full run; a run where nothing could be measured; a run that failed, with odd names."""

from __future__ import annotations

import math
from typing import Any

import pytest

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
NOT_HERE = "this machine has no asimd (it is x86_64)"


def history(epochs: int, best: float, loss: float, terms: tuple[str, ...]) -> list[dict[str, Any]]:
    """A plausible training run: loss decays, accuracy saturates at `best`."""
    rows: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        left = math.exp(-3.0 * epoch / epochs)
        value = loss * (0.15 + left)
        rows.append(
            {
                "epoch": epoch,
                "train_loss": value,
                "terms": {term: value / len(terms) for term in terms},
                "validation_accuracy": best * (1 - 0.45 * left) + 0.004 * math.sin(5 * epoch),
                "learning_rate": 0.05 * (1 + math.cos(math.pi * epoch / epochs)),
                "seconds": 11.7,
            }
        )
    return rows


def latency(p50: float, threads: tuple[int, ...] = (1, 2)) -> list[dict[str, Any]]:
    """Rows for each thread count: two threads take 0.6 of one."""
    rows: list[dict[str, Any]] = []
    for count in threads:
        middle = p50 if count == max(threads) else p50 / 0.6
        rows.append(
            {
                "batch_size": 1,
                "threads": count,
                "runs": 100,
                "p50_ms": middle,
                "p90_ms": middle * 1.09,
                "p99_ms": middle * 1.31,
                "mean_ms": middle * 1.02,
                "std_ms": middle * 0.06,
                "throughput_per_s": 1000 / (middle * 1.02),
            }
        )
    return rows


def artifact(
    target: str,
    form: str,
    precision: str,
    p50: float | None,
    *,
    model: str = "student",
    accuracy: float | None = 0.8712,
    arithmetic: str = "fused",
    reason: str | None = None,
) -> dict[str, Any]:
    """One exported file; `p50` None: not timed, for `reason`."""
    runtime = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert", "tensorrt": "tensorrt"}[form]
    int8 = precision == "int8"
    prefix = "" if model == "student" else f"{model}-"
    kept = [
        {"layer": "conv2d", "operator": "aten.conv2d", "reason": "named in the recipe's keep_float"},
        {
            "layer": "pad_1",
            "operator": "aten.constant_pad_nd",
            "reason": "moves values only; it inherits its input's scale",
        },
    ]
    quantized = [f"conv2d_{index}" for index in range(1, 9)] + ["linear"]
    parity = {
        "max_abs_error": 0.412 if int8 else 3.1e-6,
        "mean_abs_error": 0.061 if int8 else 4.2e-7,
        "relative_max_error": 0.031 if int8 else 2.4e-7,
        "top1_agreement": 0.984 if int8 else 1.0,
        "samples": 512,
    }
    return {
        "target": target,
        "model": model,
        "format": form,
        "precision": precision,
        "runtime": runtime,
        "path": f"{target}/{prefix}{form}-{precision}",
        "size_bytes": 96_412 if int8 else 328_911,
        "accuracy": None if accuracy is None else {"value": accuracy, "samples": 10000, "arithmetic": arithmetic},
        "agreement_with_teacher": None if accuracy is None else 0.9012,
        "quality": None if accuracy is None else quality(accuracy - 0.001, 0.71),
        "parity": None if accuracy is None else parity,
        "quantization": {
            "weight_bits": 8,
            "method": {"int8_static": {"ranges": "entropy"}},
            "quantized": quantized,
            "kept_float": kept,
            "per_channel": True,
            "samples": 256,
        }
        if int8
        else None,
        "measurement": None
        if p50 is None
        else {
            "latency": latency(p50),
            "cold_start_ms": 38.2 + p50,
            "peak_rss_above_runtime_bytes": 4_212_000 if int8 else 6_903_000,
            "cpu": "AMD EPYC 9B14",
            "runtime_version": "1.32.0",
        },
        "not_measured": reason,
        "notes": {"integer_kernels": 9, "float_kernels": 1} if int8 else {},
    }


def gate(
    name: str, where: str, limit: float, value: float | None, unit: str, passed: bool | None, reason: str | None = None
) -> dict[str, Any]:
    """One row of the gates."""
    return {
        "gate": name,
        "where": where,
        "limit": limit,
        "value": value,
        "unit": unit,
        "passed": passed,
        "reason": reason,
    }


def quality(macro_f1: float, worst: float, calibration_error: float | None = 0.031) -> dict[str, Any]:
    """Per-class figures, cat the worst class."""
    rows = [{"name": "cat", "recall": worst, "samples": 1000, "mistaken_for": "dog"}]
    rows += [{"name": name, "recall": 0.95, "samples": 1000, "mistaken_for": None} for name in ("car", "<truck>")]
    return {"macro_f1": macro_f1, "calibration_error": calibration_error, "worst_classes": rows}


def full_document() -> dict[str, Any]:
    """Teacher, both baselines, three targets of which one is this machine."""
    x86, pi, jetson = "x86-avx512-vnni", "raspberry-pi-5", "jetson-orin-nano"
    jetson_reason = "TensorRT engines are built and timed on the device; TensorRT is not installed here"
    artifacts = [
        artifact(x86, "onnx", "float32", 0.212, accuracy=0.8729),
        artifact(x86, "onnx", "int8", 0.094, accuracy=0.8712),
        artifact(x86, "openvino", "float32", 0.148, accuracy=0.8729),
        artifact(x86, "openvino", "int8", 0.081, accuracy=0.8709),
        artifact(x86, "tflite", "float32", 0.263, accuracy=0.8729),
        artifact(x86, "tflite", "int8", 0.271, accuracy=0.8715),
        artifact(x86, "onnx", "int8", 0.803, model="teacher", accuracy=0.9401),
        artifact(pi, "tflite", "float32", None, accuracy=0.8729, arithmetic="reference", reason=NOT_HERE),
        artifact(pi, "tflite", "int8", None, accuracy=0.8714, arithmetic="reference", reason=NOT_HERE),
        artifact(pi, "onnx", "int8", None, accuracy=0.8710, arithmetic="reference", reason=NOT_HERE),
        artifact(jetson, "tensorrt", "float32", None, accuracy=None, reason=jetson_reason),
        artifact(jetson, "tensorrt", "int8", None, accuracy=None, reason=jetson_reason),
    ]
    return {
        "report_version": 1,
        "name": "cifar10",
        "recipe": {
            "name": "cifar10",
            "seed": 0,
            "data": {"reader": {"image_folder": {"path": "cifar10-jpeg.zip"}}, "size": [32, 32], "validation": 0.1},
            "teacher": {"model": {"cifar_resnet": {"depth": 56}}, "weights": "resnet56.safetensors"},
            "student": {"model": {"cifar_resnet": {"depth": 8}}, "weights": None},
            "distill": {"losses": [{"ce": {"weight": 0.1}}, {"kl": {"weight": 0.9, "temperature": 4.0}}]},
            "compress": {"method": {"int8_static": {"ranges": "entropy"}}, "keep_float": ["conv2d"]},
            "targets": [x86, pi, jetson],
        },
        "environment": {
            "cpu": "AMD EPYC 9B14",
            "cores": 2,
            "memory_bytes": 8_214_000_000,
            "os": "Linux 6.1 (Debian 12)",
            "python": "3.11.2",
            "machine_id": "9f2c41d07a",
            "instruction_sets": ["avx2", "fma", "avx512f", "avx512_vnni"],
            "versions": {
                "torch": "2.14.1",
                "onnx": "1.23.2",
                "onnxruntime": "1.32.0",
                "openvino": "2026.4.1",
                "timm": None,
            },
        },
        "data": {
            "reader": {"image_folder": {"path": "cifar10-jpeg.zip"}},
            "classes": CLASSES,
            "counts": {
                "train": dict.fromkeys(CLASSES, 4500),
                "validation": dict.fromkeys(CLASSES, 500),
                "test": dict.fromkeys(CLASSES, 1000),
            },
            "sha256": "4d1f3c" + "0" * 58,
            "licence": "MIT",
            "warnings": [],
            "calibration": {
                "samples": 256,
                "source": "the train split, stratified by class",
                "coverage": {name: 26 if index < 6 else 25 for index, name in enumerate(CLASSES)},
                "sha256": "77ab" + "0" * 60,
                "overlap_removed": 0,
                "domain_shift": {"channel_mean_shift": [0.012, -0.008, 0.021], "channel_std_ratio": [1.01, 0.99, 1.0]},
                "warnings": ["the calibration set has 256 images; entropy ranges settle at about 500"],
            },
        },
        "models": [
            {
                "role": "teacher",
                "name": "cifar_resnet 56",
                "parameters": 855_770,
                "macs": 125_747_840,
                "size_bytes": 3_468_000,
                "accuracy": {"value": 0.9437, "samples": 10000, "split": "test"},
                "quality": quality(0.9436, 0.871),
                "agreement_with_teacher": None,
                "history": history(4, 0.943, 0.4, ("ce",)),
            },
            {
                "role": "student",
                "name": "cifar_resnet 8",
                "parameters": 78_042,
                "macs": 12_501_632,
                "size_bytes": 320_100,
                "accuracy": {"value": 0.8731, "samples": 10000, "split": "test"},
                "quality": quality(0.8725, 0.722),
                "agreement_with_teacher": 0.9034,
                "history": history(30, 0.874, 6.2, ("ce", "kl")),
            },
            {
                "role": "student_alone",
                "name": "cifar_resnet 8",
                "parameters": 78_042,
                "macs": 12_501_632,
                "size_bytes": 320_100,
                "accuracy": {"value": 0.8594, "samples": 10000, "split": "test"},
                "quality": quality(0.8581, 0.701),
                "agreement_with_teacher": 0.8790,
                "history": history(30, 0.860, 2.1, ("ce",)),
            },
        ],
        "temperatures": [
            {"temperature": 1, "entropy_bits": 0.0821, "top1_probability": 0.984},
            {"temperature": 2, "entropy_bits": 0.412, "top1_probability": 0.921},
            {"temperature": 4, "entropy_bits": 1.63, "top1_probability": 0.604},
            {"temperature": 8, "entropy_bits": 2.79, "top1_probability": 0.287},
        ],
        "temperature_max_entropy_bits": math.log2(10),
        "artifacts": artifacts,
        "gates": [
            gate("parity", f"{x86}/onnx-float32", 1e-3, 2.4e-7, "relative", True),
            gate("parity", f"{x86}/onnx-int8", 0.95, 0.984, "agreement", True),
            gate("accuracy_drop", f"{x86}/onnx-int8", 1.0, 0.19, "points", True),
            gate("latency", f"{x86}/onnx-int8", 1.0, 0.094, "ms", True),
            gate("memory", f"{x86}/onnx-int8", 20_000_000, 4_212_000, "bytes", True),
            gate("parity", f"{jetson}/tensorrt-int8", 0.95, None, "agreement", None, jetson_reason),
        ],
        "targets": [
            {"name": x86, "title": "x86-64 with AVX-512 VNNI", "this_machine": True, "reasons": []},
            {"name": pi, "title": "Raspberry Pi 5 (Cortex-A76)", "this_machine": False, "reasons": [NOT_HERE]},
            {
                "name": jetson,
                "title": "Jetson Orin Nano 8 GB",
                "this_machine": False,
                "reasons": ["this machine is x86_64, not aarch64", "it has no CUDA device"],
            },
        ],
        "warnings": ["the teacher was fine-tuned for 4 epochs; its accuracy was still rising"],
    }


def unmeasured_document() -> dict[str, Any]:
    """Only a student, one foreign target, no gates, nothing trained, nothing timed, no accuracy."""
    reason = "the recipe's reader has no labels"
    return {
        "report_version": 1,
        "name": "bare",
        "recipe": {"name": "bare"},
        "environment": {},
        "data": {"classes": ["0", "1"], "counts": {"train": {"0": 40, "1": 40}}},
        "models": [
            {
                "role": "student",
                "name": "tiny",
                "parameters": None,
                "macs": None,
                "size_bytes": None,
                "accuracy": None,
                "agreement_with_teacher": None,
                "history": None,
                "not_measured": {"accuracy": reason, "macs": "its operators cannot be counted"},
            }
        ],
        "temperatures": [],
        "temperature_max_entropy_bits": None,
        "artifacts": [
            artifact("raspberry-pi-4", "onnx", "int8", None, accuracy=None, reason=NOT_HERE),
        ],
        "gates": [],
        "targets": [
            {"name": "raspberry-pi-4", "title": "Raspberry Pi 4", "this_machine": False, "reasons": [NOT_HERE]},
            {"name": "x86-avx2", "title": "x86-64 with AVX2", "this_machine": True, "reasons": []},
        ],
        "warnings": [],
    }


def failing_document() -> dict[str, Any]:
    """Two breached gates, INT8 slower than float, one epoch, a thousand classes, and names that are markup."""
    evil = "<script>alert('x')</script>"
    target = "x86-avx2"
    document = full_document()
    classes = [evil, "a|b", "`tick`", "*star*", "[link](http://example.com/)", "naïve_Übung_", ""] + [
        f"n{i:08d}" for i in range(993)
    ]
    student = document["models"][1]
    student["name"] = f"{evil} & friends"
    student["accuracy"] = {"value": 0.61, "samples": 200, "split": "test"}
    student["history"] = history(1, 0.61, 6.0, ("ce", "kl"))
    document["models"][2]["accuracy"] = {"value": 0.615, "samples": 200, "split": "test"}
    document["models"][2]["history"] = history(1, 0.615, 2.0, ("ce",))
    document["models"][0]["accuracy"] = {"value": 0.60, "samples": 200, "split": "test"}
    document["models"][0]["history"] = None
    document.update(
        name=f"odd {evil} | name",
        data={
            "reader": {"image_folder": {"path": f"{evil}.zip"}},
            "classes": classes,
            "counts": {"train": dict.fromkeys(classes, 3), "test": dict.fromkeys(classes, 1)},
            "sha256": None,
            "licence": None,
            "warnings": [f"class {evil} has 3 images"],
            "calibration": {"samples": 200, "source": "the train split", "coverage": dict.fromkeys(classes[:200], 1)},
        },
        targets=[{"name": target, "title": 'x86-64 with AVX2 "box"', "this_machine": True, "reasons": []}],
        artifacts=[
            artifact(target, "onnx", "float32", 0.40, accuracy=0.61),
            artifact(target, "onnx", "int8", 0.61, accuracy=0.13),
        ],
        gates=[
            gate("latency", f"{target}/onnx-float32", 1.0, 0.40, "ms", True),
            gate("memory", f"{target}/onnx-float32", 1e7, None, "bytes", None, "the agent gave no memory figure"),
            gate("accuracy_drop", f"{target}/onnx-int8", 1.0, 48.0, "points", False),
            gate("int8_faster", f"{target}/onnx-int8", 1.0, 0.656, "x", False, "INT8 0.61 ms, float32 0.40 ms"),
        ],
        warnings=["INT8 is not faster than float32 in onnxruntime"],
        temperatures=[],
    )
    return document


@pytest.fixture
def full() -> dict[str, Any]:
    """A full run."""
    return full_document()


@pytest.fixture
def unmeasured() -> dict[str, Any]:
    """A run where nothing could be measured."""
    return unmeasured_document()


@pytest.fixture
def failing() -> dict[str, Any]:
    """A run that failed, with odd names."""
    return failing_document()
