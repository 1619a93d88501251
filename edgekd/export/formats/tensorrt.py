"""TensorRT bundle: explicit-QDQ or float ONNX that conforms to TensorRT's rules, and what builds the engine from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from edgekd.backends import versions
from edgekd.errors import ExportError
from edgekd.export.format import Exported, Format

if TYPE_CHECKING:
    from edgekd.artifact import Tensor
    from edgekd.compress.description import Description
    from edgekd.compress.fold import Program
    from edgekd.compress.rules import QuantizationRules

ENTRY = "model.onnx"
BUNDLE = "edgekd.export.tensorrt_bundle"
FLOAT = "a float32 network"
INT8 = "an INT8 network with explicit, symmetric quantization (zero point 0, weights per output channel)"


class TensorRt(Format):
    """`model.onnx`, `build_engine.py`, jobs for the agent, `README.md`: TensorRT 10 or 11 builds on the device.

    Input `input` `(B, C, H, W)` float32, output `logits` `(B, K)` float32. For texts the inputs are `input_ids` and
    `attention_mask` `(B, T)` int64, and the engine's profile has a shortest, a tuned and a longest T.
    """

    runtime: ClassVar[str] = "tensorrt"
    stand_in: ClassVar[str | None] = "onnxruntime"
    dynamic: ClassVar[bool] = False
    activations: ClassVar[Literal["asymmetric", "symmetric"]] = "symmetric"

    def identity(self) -> dict[str, Any]:
        """Versions of torch's exporter; TensorRT itself is on the device."""
        return versions("torch", "onnx", "onnxscript", "onnxruntime", "numpy")

    def export(
        self, program: Program, description: Description | None, folder: Path, rules: QuantizationRules
    ) -> Exported:
        """Writes the bundle; refuses a graph that TensorRT would refuse. Weights always have 8 bits."""
        from edgekd.export.onnx_file import exported, save_onnx
        from edgekd.export.onnx_float import OPSET, float_onnx
        from edgekd.export.onnx_graph import bound_onnx
        from edgekd.export.tensorrt_qdq import place
        from edgekd.export.tensorrt_rules import conforms

        notes: dict[str, Any] = {"opset": OPSET}
        if description is None:
            model = float_onnx(program)
        else:
            if description.dynamic:
                raise ExportError(
                    "TensorRT cannot quantize activations at run time: explicit quantization needs stored scales",
                    received="int8_dynamic",
                    accepted="int8_static",
                    hint="compress: {method: int8_static}, or leave this format out",
                )
            placed = place(bound_onnx(program, description))
            model = placed.model
            notes |= {
                "weight_bits": 8,
                "integer_kernels": placed.counts,
                "float_kernels": placed.floating(),
                "kernels_seen_in": "file; TensorRT decides on the device",
                "left_float": placed.left,
                "ranges_chosen_for": description.activation_grid,
            }
        reasons = conforms(model)
        if reasons:
            raise ExportError("the ONNX model does not conform to TensorRT's rules", received="; ".join(reasons[:8]))
        save_onnx(model, folder / ENTRY)
        found = exported(model, ENTRY, notes)
        what = FLOAT if description is None else INT8
        _write_bundle(folder, found, what, program.max_tokens)
        return found


def _write_bundle(folder: Path, found: Exported, what: str, limit: int | None) -> None:
    import json
    from importlib.resources import files

    sources, result = found.inputs, found.outputs[0]
    bundle = files(BUNDLE)
    for name in ("build_engine.py", "measure.json", "predict.json"):
        (folder / name).write_bytes((bundle / name).read_bytes())
    for name in () if limit is None else ("measure.json", "predict.json"):
        job = json.loads((folder / name).read_text(encoding="utf-8"))
        del job["images"]
        job |= {"tokens": "probe_tokens.npy", "offsets": "probe_offsets.npy"}
        (folder / name).write_text(json.dumps(job, indent=2) + "\n", encoding="utf-8")
    lengths = [0, 0, 0] if limit is None else [1, min(32, limit), limit]
    text = (bundle / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(
        text.format(
            what=what,
            inputs=" and ".join(_described(item, limit) for item in sources),
            output=result.name,
            output_shape=_shape(result),
            free="N is" if limit is None else f"N and T (up to {limit}) are",
            smallest=_profile(sources, 1, lengths[0]),
            tuned=_profile(sources, 1, lengths[1]),
            largest=_profile(sources, 8, lengths[2]),
            tokens="" if limit is None else f" --tokens {' '.join(map(str, lengths))}",
            samples="images" if limit is None else "texts",
        ),
        encoding="utf-8",
    )


def _described(tensor: Tensor, limit: int | None) -> str:
    return f"`{tensor.name}` {tensor.dtype} {_shape(tensor)}" + (" (NCHW)" if limit is None else "")


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(str(size or "NT"[index]) for index, size in enumerate(tensor.shape)) + ")"


def _profile(sources: list[Tensor], batch: int, tokens: int) -> str:
    """Shapes of all inputs as trtexec takes them: `input:1x3x32x32`."""
    shapes = ["x".join(map(str, (batch, *(size or tokens for size in item.shape[1:])))) for item in sources]
    return ",".join(f"{item.name}:{shape}" for item, shape in zip(sources, shapes, strict=True))
