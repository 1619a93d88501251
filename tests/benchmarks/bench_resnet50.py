"""ResNet-50 at 224x224, batch 1: edgekd's INT8 files against float in the same runtime, and against hand-made INT8.

Hand-made: each library called as its own documentation says, on the same weights and the same 32 calibration images:
ONNX Runtime `quantize_static`, NNCF `quantize`, ai-edge-quantizer `static_wi8_ai8`. Every file is timed in a process of
its own, in interleaved rounds; the figure is the median over rounds of the p50. Bound by: integer kernels of the CPU
(without VNNI instructions a ratio of 2 is not expected).
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.artifact import Artifact, Tensor
from edgekd.benchmark import BenchmarkSection, benchmark
from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import Program, fold
from edgekd.data.arrays import Preprocess
from edgekd.export import FORMATS
from edgekd.progress import QUIET
from edgekd.target import Target

ROUNDS = 5
THREADS = 2
FORMAT_NAMES = ("onnx", "openvino", "tflite")
PREPROCESS = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (224, 224), 3)


def images() -> np.ndarray:
    """`(32, 224, 224, 3)` uint8: smooth random fields, closer to photographs than white noise."""
    import torch

    coarse = torch.rand(32, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, size=(224, 224), mode="bicubic").clamp(0, 1)
    return (fine.permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()


def program() -> Program:
    """torchvision's ResNet-50, randomly initialised: latency does not depend on the weights' values."""
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    return fold(resnet50().eval(), (torch.from_numpy(PREPROCESS.apply(images()[:4])),))


def place(
    folder: Path, format_name: str, precision: str, entry: str, inputs: list[Tensor], outputs: list[Tensor], notes: Any
) -> None:
    """Writes the manifest that the agent needs."""
    Artifact(
        model="student",
        format=format_name,
        precision=precision,  # type: ignore[arg-type]
        target=Target.host().name,
        runtime=FORMATS.load(format_name).runtime,
        entry=entry,
        inputs=inputs,
        outputs=outputs,
        classes=[str(index) for index in range(1000)],
        preprocess=PREPROCESS.to_json(),
        notes=notes,
    ).save(folder)


def ours(net: Program, root: Path) -> dict[str, Path]:
    """edgekd's float and INT8 files."""
    samples = PREPROCESS.apply(images())

    def batches() -> Iterator[tuple[np.ndarray]]:
        yield from ((part,) for part in np.array_split(samples, 4))

    section = CompressSection.model_validate({"method": "int8_static"})
    folders: dict[str, Path] = {}
    for name in FORMAT_NAMES:
        rules = Target.host().rules(name)
        description = compress(net, batches, section, rules, QUIET)
        for precision in ("float32", "int8"):
            folder = root / f"{name}-{precision}"
            folder.mkdir()
            exported = FORMATS.parse(name).export(net, description if precision == "int8" else None, folder, rules)
            place(folder, name, precision, exported.entry, exported.inputs, exported.outputs, exported.notes)
            folders[f"{name}-{precision}"] = folder
    return folders


def hand_made(folders: dict[str, Path], root: Path) -> dict[str, Path]:
    """INT8 files made from our float files by each library on its own."""
    makers = {"onnx": by_onnxruntime, "openvino": by_nncf, "tflite": by_ai_edge_quantizer}
    made: dict[str, Path] = {}
    for name, maker in makers.items():
        source = Artifact.load(folders[f"{name}-float32"])
        folder = root / f"{name}-hand"
        folder.mkdir()
        maker(folders[f"{name}-float32"] / source.entry, folder / source.entry)
        inputs = source.inputs
        outputs = source.outputs
        if name == "tflite":
            quantized = Artifact.load(folders["tflite-int8"])
            inputs, outputs = quantized.inputs, quantized.outputs
        place(folder, name, "int8", source.entry, inputs, outputs, {})
        made[f"{name}-hand"] = folder
    return made


def by_onnxruntime(source: Path, made: Path) -> None:
    """onnxruntime.quantization, with reduced range where the CPU has no VNNI, as its documentation advises."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.samples = iter(PREPROCESS.apply(images()))

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self.samples, None)
            return None if sample is None else {"input": sample[None]}

    prepared = made.with_name("prepared.onnx")
    quant_pre_process(str(source), str(prepared))
    quantize_static(
        str(prepared),
        str(made),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=Target.host().rules("onnx").weight_bits == 7,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


def by_nncf(source: Path, made: Path) -> None:
    """NNCF post-training quantization of the float IR."""
    import nncf
    import openvino

    data = nncf.Dataset(list(PREPROCESS.apply(images())[:, None]))
    quantized = nncf.quantize(openvino.Core().read_model(source), data, subset_size=32)
    openvino.save_model(quantized, made, compress_to_fp16=False)


def by_ai_edge_quantizer(source: Path, made: Path) -> None:
    """ai-edge-quantizer's own calibration and recipe."""
    from ai_edge_quantizer import quantizer, recipe

    samples = PREPROCESS.apply(images()).transpose(0, 2, 3, 1)
    worker = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    signature = next(iter(worker_signatures(source)))
    name = worker_signatures(source)[signature]["inputs"][0]
    calibration = worker.calibrate({signature: [{name: sample[None]} for sample in samples]})
    worker.quantize(calibration).export_model(str(made))


def worker_signatures(source: Path) -> dict[str, Any]:
    """Signature keys of a TFLite file with their input names."""
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_path=str(source)).get_signature_list()


def main() -> None:
    """Prints the figures as one JSON line."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folders = ours(program(), root)
        folders |= hand_made(folders, root)
        np.save(root / "images.npy", images())
        section = BenchmarkSection(batch_sizes=[1], threads=[THREADS], warmup=10, runs=60)
        times: dict[str, list[float]] = {key: [] for key in folders}
        for turn in range(ROUNDS):
            for key, folder in folders.items():
                found, reason = benchmark(folder, section, images=root / "images.npy")
                if found is None:
                    raise SystemExit(reason)
                times[key].append(found["latency"][0]["p50_ms"])
            print(f"round {turn + 1}/{ROUNDS}", file=sys.stderr, flush=True)
        p50 = {key: statistics.median(values) for key, values in times.items()}
        row = {
            "benchmark": "resnet50",
            "target": Target.host().name,
            "threads": THREADS,
            "p50_ms": {key: round(value, 2) for key, value in p50.items()},
            "float_over_int8": {n: round(p50[f"{n}-float32"] / p50[f"{n}-int8"], 2) for n in FORMAT_NAMES},
            "ours_over_hand": {n: round(p50[f"{n}-int8"] / p50[f"{n}-hand"], 3) for n in FORMAT_NAMES},
            "limits": {"float_over_int8": 2, "ours_over_hand": 1.05},
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
