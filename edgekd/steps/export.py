"""Steps: the quantization description, the exported files, and the artifact folder that the user gets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekd.artifact import MANIFEST, Artifact, FileRecord, Tensor, sha256_file
from edgekd.backends import versions
from edgekd.benchmark import AGENT
from edgekd.compress import compress, key
from edgekd.compress.description import Description
from edgekd.compress.rules import QuantizationRules
from edgekd.errors import RecipeError, StoreError
from edgekd.export import FORMATS, Precision, export
from edgekd.steps.context import Context
from edgekd.steps.data import READING, PreparedData
from edgekd.steps.evaluate import test_logits
from edgekd.steps.networks import FloatModel
from edgekd.steps.train import open_model
from edgekd.store import Entry, source_digest
from edgekd.target import Target

if TYPE_CHECKING:
    from edgekd.compress.fold import Program

CALIBRATION_BATCH = 16
EXAMPLE_SAMPLES = 8
PROBE_SAMPLES = 16
PROBE_IMAGES = "probe_images.npy"
PROBE_TOKENS = "probe_tokens.npy"
PROBE_OFFSETS = "probe_offsets.npy"
PROBE_LOGITS = "probe_logits.npy"
QUOTED = ("name", "seed", "student", "teacher", "teachers", "distill", "compress")


@dataclass(frozen=True)
class Variant:
    """One artifact to make: which model, for which board, in which format and precision."""

    source: FloatModel
    target: Target
    format_name: str
    precision: Precision

    @property
    def name(self) -> str:
        """Name of its folder below the target's: `onnx-int8`, `teacher-onnx-int8`."""
        plain = f"{self.format_name}-{self.precision}"
        return plain if self.source.role == "student" else f"{self.source.role}-{plain}"

    @property
    def path(self) -> str:
        """Its folder below the run's."""
        return f"{self.target.name}/{self.name}"


def rules_for(target: Target, format_name: str) -> QuantizationRules:
    """What the board's arithmetic and the format's grid impose together."""
    return target.rules(format_name).model_copy(update={"activations": FORMATS.load(format_name).activations})


def _inputs(data: PreparedData, source: FloatModel) -> dict[str, Any]:
    """What a result made of this model depends on."""
    return {**source.key(), "data": data.digest, "calibration": data.calibration_digest}


def describe(context: Context, data: PreparedData, source: FloatModel, rules: QuantizationRules) -> Entry:
    """The quantization description for this model under these rules; shared by all formats with the same rules."""
    section = context.recipe.compress
    if section is None:
        raise RecipeError("int8 needs a compress section", where="compress")
    inputs = {
        **_inputs(data, source),
        "compress": key(section, rules),
        "code": source_digest("edgekd.compress", *READING),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        context.progress.note(
            f"{source.role}: calibrating INT8 ({rules.weight_bits}-bit weights, {rules.activations} activations)"
        )
        arrays = data.open()

        def batches() -> Iterator[tuple[NDArray[Any], ...]]:
            return arrays.calibration_batches(CALIBRATION_BATCH)

        program = _program(context, data, source)
        description = compress(program, batches, section, rules, context.progress)
        (folder / "description.json").write_text(description.model_dump_json(indent=1), encoding="utf-8")
        return {}

    return context.store.get("description", inputs, build)


def export_files(context: Context, data: PreparedData, variant: Variant) -> Entry:
    """The files of one variant, shared by every target whose rules are the same."""
    source, precision = variant.source, variant.precision
    method = FORMATS.parse(variant.format_name)
    rules = rules_for(variant.target, variant.format_name)
    description = describe(context, data, source, rules) if precision == "int8" else None
    inputs = {
        **_inputs(data, source),
        "format": method.model_dump(mode="json"),
        "identity": method.identity(),
        "precision": precision,
        "rules": rules.model_dump(mode="json") if precision == "int8" else None,
        "description": None if description is None else description.digest,
        "code": source_digest("edgekd.export", "edgekd.compress", *READING),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        context.progress.note(f"{source.role}: exporting {variant.format_name} {precision}")
        shutil.rmtree(folder)
        folder.mkdir()
        loaded = None
        if description is not None:
            loaded = Description.model_validate_json((description.folder / "description.json").read_bytes())
        exported = export(_program(context, data, source), loaded, method, folder, rules)
        return {
            "entry": exported.entry,
            "inputs": [tensor.model_dump() for tensor in exported.inputs],
            "outputs": [tensor.model_dump() for tensor in exported.outputs],
            "notes": exported.notes,
            "quantization": None if loaded is None else _quantization(loaded, exported.notes),
        }

    return context.store.get("export", inputs, build)


def place_artifact(context: Context, data: PreparedData, variant: Variant, files: Entry, folder: Path) -> Artifact:
    """Puts the files and the manifest into the run's folder; an earlier copy that is exactly this one is left alone.

    A few test samples travel along with the torch model's answers (the probe), so that a board can check and time the
    artifact without the data set; with texts, also the tokenizer.
    """
    content = _content(data, variant, files)
    artifact = _manifest(context, data, variant, files).model_copy(update={"files": _records(content, data, files)})
    present = _present(context, folder)
    if present is not None and present.model_dump_json() == artifact.model_dump_json():
        return artifact
    for left in folder.parent.glob(f".{folder.name}.*.staging"):
        shutil.rmtree(left, ignore_errors=True)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.staging")
    for name, source in content.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            (staging / name).write_bytes(source)
        else:
            shutil.copyfile(source, staging / name)
    artifact.write(staging)
    shutil.rmtree(folder, ignore_errors=True)
    staging.rename(folder)
    return artifact


def _content(data: PreparedData, variant: Variant, files: Entry) -> dict[str, Path | bytes]:
    """Every file of the artifact: where it is, or what is in it."""
    arrays = data.open()
    content: dict[str, Path | bytes] = {name: files.folder / name for name in files.files}
    test = arrays.indices("test")[:PROBE_SAMPLES]
    if arrays.kind == "text":
        tokenizer = arrays.preprocess.to_json()["tokenizer"]
        content[tokenizer] = data.entry.folder / tokenizer
        inputs: tuple[NDArray[Any], ...] = arrays.inputs(test)
        ids, mask = inputs[0], inputs[-1]
        content[PROBE_TOKENS] = _npy(ids[mask == 1].astype(np.int32))
        content[PROBE_OFFSETS] = _npy(np.concatenate([[0], np.cumsum(mask.sum(1))]))
    else:
        content[PROBE_IMAGES] = _npy(np.load(data.entry.folder / "images.npy", mmap_mode="r")[test])
    # Where tokens are classified, each has a row.
    content[PROBE_LOGITS] = _npy(test_logits(variant.source.evaluation)[: len(arrays.targets(test))])
    if FORMATS.load(variant.format_name).stand_in is not None:
        agent = (path for path in AGENT.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        content |= {f"{AGENT.name}/{path.relative_to(AGENT).as_posix()}": path for path in agent}
    return content


def _npy(array: NDArray[Any]) -> bytes:
    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _records(content: Mapping[str, Path | bytes], data: PreparedData, files: Entry) -> dict[str, FileRecord]:
    """Digest and size of each file; those of stored results were verified when they were looked up."""
    known = {**data.entry.files, **files.files}
    return {
        name: FileRecord(sha256=sha256(source).hexdigest(), size_bytes=len(source))
        if isinstance(source, bytes)
        else FileRecord(sha256=known.get(name) or sha256_file(source), size_bytes=source.stat().st_size)
        for name, source in sorted(content.items())
    }


def _manifest(context: Context, data: PreparedData, variant: Variant, files: Entry) -> Artifact:
    """The manifest but for the files' records."""
    source, method, arrays, info = variant.source, FORMATS.parse(variant.format_name), data.open(), files.info
    return Artifact(
        model=source.role,
        format=variant.format_name,
        precision=variant.precision,
        target=variant.target.name,
        runtime=method.runtime,
        entry=info["entry"],
        inputs=[Tensor.model_validate(tensor) for tensor in info["inputs"]],
        outputs=[Tensor.model_validate(tensor) for tensor in info["outputs"]],
        classes=list(arrays.classes),
        preprocess=arrays.preprocess.to_json(),
        quantization=info["quantization"],
        parents={"data": data.digest, "model": source.entry.digest, "export": files.digest},
        recipe={name: context.raw.get(name) for name in QUOTED},
        versions={**versions("edgekd", "torch", "numpy"), **method.identity()},
        licences={"model": source.section.model.licence, "data": str(arrays.facts.get("licence") or "not stated")},
        notes=info["notes"],
    )


def _present(context: Context, folder: Path) -> Artifact | None:
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return Artifact.load(folder)
    except StoreError as error:
        context.progress.warn(f"{error}; it is written again from the store")
        return None


def _program(context: Context, data: PreparedData, source: FloatModel) -> Program:
    import torch

    from edgekd.compress.fold import fold

    if source.entry.digest in context.programs:
        return context.programs[source.entry.digest]
    arrays = data.open()
    model = open_model(source.section, source.entry, arrays, context.recipe.seed)
    example = tuple(torch.as_tensor(array) for array in arrays.example(EXAMPLE_SAMPLES))
    program = fold(model, example, arrays.preprocess.to_json().get("max_length"))
    context.programs[source.entry.digest] = program
    return program


def _quantization(description: Description, notes: Mapping[str, Any]) -> dict[str, Any]:
    """The description without its ranges; the bits are those that the format really wrote."""
    fields = {"method", "weight_bits", "per_channel", "quantized", "kept_float", "samples"}
    kept = description.model_dump(mode="json", include=fields)
    return {**kept, "weight_bits": notes.get("weight_bits", description.weight_bits)}
