"""An artifact's logits through its own runtime, in a process of its own, against torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.benchmark import predict
from edgekd.benchmark.agent import bundle
from edgekd.data.arrays import Preprocess
from edgekd.errors import BenchmarkError, MissingBackend, StoreError

RUNTIMES = ["onnxruntime", "openvino", "litert"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("exact", [False, True])
def test_float_artifact_gives_torchs_logits(
    runtime: str, exact: bool, float_artifact: Callable[[str], Path], subject: Any
) -> None:
    logits = predict(float_artifact(runtime), subject.images, batch_size=8, exact=exact)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, subject.logits, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("batch_size", [1, 37, 64])
def test_the_batch_size_does_not_matter(
    runtime: str, batch_size: int, float_artifact: Callable[[str], Path], subject: Any
) -> None:
    logits = predict(float_artifact(runtime), subject.images, batch_size=batch_size)
    np.testing.assert_allclose(logits, subject.logits, atol=1e-5)


@pytest.mark.parametrize("name", ["onnx_int8_artifact", "tflite_int8_artifact"])
def test_int8_artifacts_are_close_but_not_equal(name: str, request: pytest.FixtureRequest, subject: Any) -> None:
    folder = request.getfixturevalue(name)
    logits = predict(folder, subject.images, batch_size=8)
    error = np.abs(logits - subject.logits).max()
    assert 1e-4 < error < 0.1 * np.ptp(subject.logits)


@pytest.mark.parametrize("name", ["onnx_int8_artifact", "openvino_int8_artifact"])
def test_exact_is_the_reference_arithmetic_of_quantize_dequantize(
    name: str, request: pytest.FixtureRequest, onnx_int8_artifact: Path, subject: Any
) -> None:
    from onnx import load
    from onnx.reference import ReferenceEvaluator

    inputs = Preprocess((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), (12, 12), 3).apply(subject.images[:5])
    (reference,) = ReferenceEvaluator(load(onnx_int8_artifact / "model.onnx")).run(None, {"input": inputs})
    exact = predict(request.getfixturevalue(name), subject.images[:5], exact=True)
    np.testing.assert_allclose(exact, reference, atol=2e-6)


def test_indices_choose_and_order_the_images(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    order = np.array([36, 0, 5, 5])
    expected = subject.logits[order]
    np.testing.assert_allclose(predict(onnx_artifact, subject.images, indices=order), expected, atol=1e-5)
    np.save(tmp_path / "images.npy", subject.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    for images in (tmp_path / "images.npy", mapped):
        np.testing.assert_allclose(predict(onnx_artifact, images, indices=order), expected, atol=1e-5)
    np.testing.assert_allclose(predict(onnx_artifact, mapped[3:9]), subject.logits[3:9], atol=1e-5)


def test_the_agents_preprocessing_is_the_pipelines_bit_for_bit(subject: Any) -> None:
    recorded = Preprocess((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), (12, 12), 3)
    assert np.array_equal(bundle.preprocess(subject.images, recorded.to_json()), recorded.apply(subject.images))


def test_out_keeps_the_logits(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    logits = predict(onnx_artifact, subject.images, tmp_path / "logits.npy")
    assert np.array_equal(np.load(tmp_path / "logits.npy"), logits)


def test_images_of_another_size_are_refused(onnx_artifact: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"images must be uint8 \(N, 12, 12, 3\), got uint8 \(2, 8, 8, 3\)"):
        predict(onnx_artifact, np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(BenchmarkError, match="got float32"):
        predict(onnx_artifact, np.zeros((2, 12, 12, 3), np.float32))
    with pytest.raises(BenchmarkError, match="there are no images"):
        predict(onnx_artifact, np.zeros((0, 12, 12, 3), np.uint8))


def test_an_index_that_is_no_images_is_refused(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", subject.images)
    for index in (-1, 37):
        with pytest.raises(BenchmarkError, match="do not fit 37 images"):
            predict(onnx_artifact, tmp_path / "images.npy", indices=[0, index])


def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_flipped_byte_is_found_before_the_file_is_opened(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    folder = copy(onnx_artifact, tmp_path)
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(StoreError, match=r"was changed after it was made: model\.onnx"):
        predict(folder, subject.images)


def test_a_missing_file_is_named(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    folder = copy(onnx_artifact, tmp_path)
    (folder / "model.onnx").unlink()
    with pytest.raises(StoreError, match=r"missing: model\.onnx"):
        predict(folder, subject.images)


def test_a_manifest_without_its_fields_names_them(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    folder = copy(onnx_artifact, tmp_path)
    edit(folder, runtime=None, inputs=[])
    with pytest.raises(StoreError, match="the manifest has no runtime, inputs"):
        predict(folder, subject.images)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/hostname", "a/../../b", "..\\b"])
def test_a_path_out_of_the_folder_is_refused(name: str, onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    folder = copy(onnx_artifact, tmp_path)
    edit(folder, files={name: {"sha256": "0" * 64, "size_bytes": 1}}, entry=name)
    with pytest.raises(StoreError, match="outside its folder"):
        predict(folder, subject.images)


def test_a_link_out_of_the_folder_is_refused(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    folder = copy(onnx_artifact, tmp_path)
    (folder / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(StoreError, match=r"a link leads out of the folder: model\.onnx"):
        predict(folder, subject.images)


def test_a_runtime_that_is_not_installed_names_its_install_line(
    onnx_artifact: Path, subject: Any, tmp_path: Path
) -> None:
    folder = copy(onnx_artifact, tmp_path)
    edit(folder, runtime="tensorrt", format="tensorrt")
    with pytest.raises(MissingBackend, match=r"tensorrt is not installed[\s\S]*python3-libnvinfer"):
        predict(folder, subject.images)


def test_an_unknown_runtime_lists_the_known_ones(onnx_artifact: Path, subject: Any, tmp_path: Path) -> None:
    folder = copy(onnx_artifact, tmp_path)
    edit(folder, runtime="../../evil")
    with pytest.raises(BenchmarkError, match=r"accepted: litert, onnxruntime, openvino, tensorrt"):
        predict(folder, subject.images)


def test_a_file_that_is_no_model_gives_the_runtimes_own_words(
    onnx_artifact: Path, subject: Any, tmp_path: Path
) -> None:
    from edgekd.artifact import Artifact

    folder = copy(onnx_artifact, tmp_path)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:100])
    Artifact.load(folder, verify=False).save(folder)
    with pytest.raises(BenchmarkError, match=r"model\.onnx"):
        predict(folder, subject.images)


def test_a_model_with_other_outputs_than_its_manifest_is_refused(
    onnx_artifact: Path, subject: Any, tmp_path: Path
) -> None:
    folder = copy(onnx_artifact, tmp_path)
    edit(folder, outputs=[{"name": "logits", "dtype": "float32", "shape": [None, 5], "layout": None}])
    with pytest.raises(StoreError, match=r"\(37, 4\) for 37 images and 5 outputs"):
        predict(folder, subject.images)
