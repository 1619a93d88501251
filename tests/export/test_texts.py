"""Text networks through every format, float and INT8, static and dynamic, in the runtime itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.compress.operators import WEIGHTED
from edgekd.errors import ExportError
from edgekd.export.tflite_text import lengths

from ..simulation import simulate

METHODS = ["int8_static", "int8_dynamic"]
FORMATS = ["onnx", "openvino", "tflite"]


def run(name: str, folder: Path, rows: list[np.ndarray], tiny: Any, width: int | None = None) -> np.ndarray:
    """The file's answers to a batch; `tflite` takes one text at a time."""
    ids, mask = tiny.padded(rows, width)
    if name == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    if name == "openvino":
        import openvino

        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        return np.array(openvino.Core().compile_model(folder / "model.xml", "CPU", config)([ids, mask])[0])
    from ai_edge_litert.interpreter import Interpreter

    size = next(size for size in lengths(tiny.LONGEST) if size >= ids.shape[1])
    runner = Interpreter(str(folder / "model.tflite"), num_threads=1).get_signature_runner(f"tokens_{size}")
    wide = [np.pad(part, ((0, 0), (0, size - part.shape[1]))).astype(np.int32) for part in (ids, mask)]
    found = [runner(input_ids=i[None], attention_mask=m[None])["logits"] for i, m in zip(*wide, strict=True)]
    return np.concatenate(found)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("sizes", [[1], [5, 16, 12], [24, 20]])
def test_float_files_equal_torch_at_every_length_and_batch(name: str, sizes: list[int], networks: Any) -> None:
    rows = networks.texts(sizes, seed=3)
    found = run(name, networks.exported("sequence", name, None)[1], rows, networks)
    np.testing.assert_allclose(found, networks.answers("sequence", rows), atol=2e-5)


@pytest.mark.parametrize("kind", ["token", "embedding"])
def test_token_logits_and_embeddings(kind: str, networks: Any) -> None:
    rows = networks.texts([5, 16, 12], seed=3)
    exported, folder = networks.exported(kind, "onnx", None)
    found = run("onnx", folder, rows, networks)
    if kind == "token":
        assert exported.outputs[0].shape == [None, None, networks.CLASSES]
        found = np.concatenate([row[: len(text)] for row, text in zip(found, rows, strict=True)])
    np.testing.assert_allclose(found, networks.answers(kind, rows), atol=2e-5)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("method", METHODS)
def test_int8_files_are_close_and_count_their_integer_kernels(name: str, method: str, networks: Any) -> None:
    exported, folder = networks.exported("sequence", name, method)
    layers = [
        item
        for item in networks.description("sequence", method).quantized
        if networks.program("sequence").operators()[item] in WEIGHTED
    ]
    assert sum(exported.notes["integer_kernels"].values()) == len(layers) == networks.LINEAR + 1
    rows = networks.texts([24] * 3, seed=3)
    reference = networks.answers("sequence", rows)
    found = run(name, folder, rows, networks)
    error = np.abs(found - reference).max() / np.ptp(reference)
    assert 1e-4 < error < 0.05


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("method", [None, *METHODS])
def test_padding_changes_no_answer(name: str, method: str | None, networks: Any) -> None:
    folder = networks.exported("sequence", name, method)[1]
    rows = networks.texts([7, 7], seed=5)
    alone, wide = (run(name, folder, rows, networks, width) for width in (None, 24))
    np.testing.assert_allclose(wide, alone, atol=1e-5)


def test_dynamic_onnx_is_the_reference_arithmetic(networks: Any) -> None:
    rows = networks.texts([9, 9, 9], seed=6)
    found = run("onnx", networks.exported("sequence", "onnx", "int8_dynamic")[1], rows, networks)
    inputs = (torch.from_numpy(part) for part in networks.padded(rows))
    described = networks.description("sequence", "int8_dynamic")
    np.testing.assert_allclose(found, simulate(networks.program("sequence"), described, *inputs), atol=1e-5)


@pytest.mark.parametrize("name", ["onnx", "openvino"])
@pytest.mark.parametrize("method", METHODS)
def test_tables_and_weights_shrink_to_bytes(name: str, method: str, networks: Any) -> None:
    parameters = sum(item.numel() for item in networks.model("sequence").parameters() if item.ndim == 2)
    stored = {"onnx": "model.onnx", "openvino": "model.bin"}[name]
    sizes = [(networks.exported("sequence", name, item)[1] / stored).stat().st_size for item in (None, method)]
    # Three of four bytes of every matrix; what is left beside them (scales, biases, the graph) is the same or more.
    assert sizes[0] - sizes[1] > (3 if name == "openvino" else 1.5) * 0.75 * parameters


def test_no_float_table_is_left_in_the_onnx_file(networks: Any) -> None:
    import onnx

    folder = networks.exported("sequence", "onnx", "int8_dynamic")[1]
    stored = onnx.load(folder / "model.onnx").graph.initializer
    matrices = [item for item in stored if len(item.dims) == 2 and min(item.dims) > 1]
    assert {item.data_type for item in matrices} == {onnx.TensorProto.INT8}


def test_tflite_signatures_share_their_weights(networks: Any) -> None:
    from ai_edge_litert.interpreter import Interpreter

    exported, folder = networks.exported("sequence", "tflite", None)
    assert exported.notes["sequence_lengths"] == [16, 24]
    listed = Interpreter(str(folder / "model.tflite")).get_signature_list()
    assert sorted(listed) == ["tokens_16", "tokens_24"]
    weights = 4 * sum(item.numel() for item in networks.model("sequence").parameters())
    assert (folder / "model.tflite").stat().st_size < 2 * weights


@pytest.mark.parametrize(("longest", "expected"), [(8, [8]), (16, [16]), (17, [16, 17]), (128, [16, 32, 64, 128])])
def test_sequence_lengths_of_a_tflite_file(longest: int, expected: list[int]) -> None:
    assert lengths(longest) == expected


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_layer_kept_in_float_has_its_own_weights(name: str, networks: Any) -> None:
    from edgekd.compress.rules import QuantizationRules
    from edgekd.export import FORMATS as formats
    from edgekd.export import export

    described = networks.description("sequence", "int8_dynamic", "*.intermediate.dense")
    folder = Path(networks.tempfile.mkdtemp())
    exported = export(networks.program("sequence"), described, formats.parse(name), folder, QuantizationRules())
    assert sum(exported.notes["integer_kernels"].values()) == networks.LINEAR + 1 - networks.LAYERS


def test_tensorrt_takes_static_int8_and_says_why_not_dynamic(networks: Any) -> None:
    exported, folder = networks.exported("sequence", "tensorrt", "int8_static")
    assert exported.notes["left_float"]["bert.embeddings.word_embeddings"] == "TensorRT looks rows up in float tables"
    assert exported.notes["integer_kernels"]["MatMul"] == networks.LINEAR
    readme = (folder / "README.md").read_text()
    assert "--minShapes=input_ids:1x1,attention_mask:1x1 --optShapes=input_ids:1x24,attention_mask:1x24" in readme
    assert '"tokens": "probe_tokens.npy"' in (folder / "measure.json").read_text()
    rows = networks.texts([9, 4], seed=3)
    np.testing.assert_allclose(run("onnx", folder, rows, networks), networks.answers("sequence", rows), atol=0.05)
    with pytest.raises(ExportError, match="cannot quantize activations at run time"):
        networks.exported("sequence", "tensorrt", "int8_dynamic")


def test_openvino_refuses_widths_that_it_would_multiply_in_float() -> None:
    from edgekd.compress import CompressSection, compress
    from edgekd.compress.fold import fold
    from edgekd.compress.rules import QuantizationRules
    from edgekd.export import FORMATS as formats
    from edgekd.progress import QUIET

    class Narrow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = torch.nn.Embedding(9, 24), torch.nn.Linear(24, 3)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(input_ids * attention_mask).mean(1))

    ids = torch.randint(0, 9, (4, 5), generator=torch.Generator().manual_seed(0))
    program = fold(Narrow(), (ids, torch.ones_like(ids)), 8)
    section = CompressSection.model_validate({"method": "int8_dynamic"})
    described = compress(program, lambda: iter([]), section, QuantizationRules(), QUIET)
    with pytest.raises(ExportError, match="only in whole groups"):
        formats.parse("openvino").export(program, described, Path("/nowhere"), QuantizationRules())
