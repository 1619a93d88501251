"""Targets: finding, refusing, matching this machine, and judging artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekd.artifact import Artifact, FileRecord, Tensor
from edgekd.benchmark.agent import device
from edgekd.errors import TargetError
from edgekd.target import Target

PI_5 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
PI_4 = "fp asimd evtstrm crc32 cpuid"
ORIN = PI_5 + " uscat ilrcpc flagm paca pacg"
AVX2 = "sse4_2 avx avx2 fma f16c"
VNNI = AVX2 + " avx512f avx512bw avx512vl avx512_vnni"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def become(architecture: str, flags: str, model: str | None = None) -> None:
        monkeypatch.setattr(device, "architecture", lambda: architecture)
        monkeypatch.setattr(device, "cpu_flags", flags.split)
        monkeypatch.setattr(device, "device_tree_model", lambda: model)

    return become


def artifact(**changes: Any) -> Artifact:
    fields: dict[str, Any] = {
        "model": "student",
        "format": "onnx",
        "precision": "int8",
        "target": "x86-avx2",
        "runtime": "onnxruntime",
        "entry": "model.onnx",
        "files": {"model.onnx": FileRecord(sha256="0" * 64, size_bytes=1000)},
        "inputs": [Tensor(name="x", dtype="float32", shape=[None, 3, 8, 8], layout="NCHW")],
        "outputs": [Tensor(name="y", dtype="float32", shape=[None, 2])],
        "classes": ["a", "b"],
        "preprocess": {},
    }
    return Artifact(**{**fields, **changes})


@pytest.mark.parametrize(
    ("architecture", "flags", "model", "name"),
    [
        ("x86_64", AVX2, None, "x86-avx2"),
        ("x86_64", VNNI, None, "x86-avx512-vnni"),
        ("aarch64", PI_4, "Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4"),
        ("aarch64", PI_5, "Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5"),
        ("aarch64", ORIN, "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "jetson-orin-nano"),
        ("aarch64", ORIN, "NVIDIA Jetson AGX Orin Developer Kit", "jetson-agx-orin"),
    ],
)
def test_each_machine_is_exactly_one_target(architecture, flags, model, name, machine) -> None:
    machine(architecture, flags, model)
    assert Target.host().name == Target.load("host").name == name
    assert [other for other in Target.names() if not Target.load(other).matches_host()] == [name]


def test_a_machine_that_is_no_target_hears_every_reason(machine) -> None:
    machine("aarch64", PI_5, "Orange Pi 5")
    with pytest.raises(TargetError, match=r"raspberry-pi-5: this machine is Orange Pi 5, not Raspberry Pi 5"):
        Target.host()
    machine("x86_64", "sse4_2")
    assert Target.load("x86-avx2").matches_host() == ["this machine's CPU has no avx2, fma, f16c"]
    machine("x86_64", VNNI)
    assert "has avx512_vnni" in Target.load("x86-avx2").matches_host()[0]


def test_emulation_is_no_board(machine) -> None:
    machine("aarch64", PI_5)
    assert Target.load("raspberry-pi-5").matches_host() == [
        "this machine is no board with a device tree, not Raspberry Pi 5"
    ]


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(TargetError, match="there is no target 'raspbery-pi-5'; did you mean 'raspberry-pi-5'"):
        Target.load("raspbery-pi-5")
    with pytest.raises(TargetError, match="cannot be read"):
        Target.load("nowhere.yaml")


def test_what_each_target_runs() -> None:
    assert Target.load("x86-avx2").format_reasons("onnx", "int8") == []
    assert Target.load("raspberry-pi-5").format_reasons("openvino", "int8") == []
    (reason,) = Target.load("raspberry-pi-4").format_reasons("openvino", "int8")
    assert "int8" in reason and "Cortex-A72" in reason
    assert Target.load("raspberry-pi-4").format_reasons("openvino", "float32") == []
    (reason,) = Target.load("raspberry-pi-5").format_reasons("tensorrt", "int8")
    assert reason == "it does not run 'tensorrt' (accepted: tflite, onnx, openvino)"
    (reason,) = Target.load("x86-avx2").format_reasons("tfilte", "int8")
    assert "did you mean 'tflite'?" in reason
    assert Target.load("jetson-orin-nano").format_names()[0] == "tensorrt"


def test_an_artifact_is_judged() -> None:
    assert Target.load("x86-avx2").check(artifact(quantization={"weight_bits": 7})) == []
    (reason,) = Target.load("x86-avx2").check(artifact(quantization={"weight_bits": 8}))
    assert "8 bits" in reason and "saturates" in reason
    assert Target.load("x86-avx512-vnni").check(artifact(quantization={"weight_bits": 8})) == []
    large = artifact(files={"model.onnx": FileRecord(sha256="0" * 64, size_bytes=9 * 2**30)})
    assert Target.load("raspberry-pi-5").check(large) == [
        f"its files have {9 * 2**30} bytes, the board has 8 GiB of memory"
    ]
    integer = artifact(format="tensorrt", notes={"operators": ["Conv", "QLinearConv"]})
    (reason,) = Target.load("jetson-orin-nano").check(integer)
    assert reason.startswith("it uses QLinearConv: TensorRT reads explicit")
    assert Target.load("jetson-orin-nano").check(artifact(notes={"operators": ["QLinearConv"]})) == []
    both = artifact(format="openvino", files=large.files)
    assert len(Target.load("raspberry-pi-4").check(both)) == 2


def test_the_rules_of_a_target() -> None:
    bits = {name: Target.load(name).rules("onnx").weight_bits for name in Target.names()}
    assert bits.pop("x86-avx2") == 7
    assert set(bits.values()) == {8}
    assert Target.load("x86-avx2").rules("openvino").weight_bits == 7
    assert Target.load("x86-avx2").rules("tflite").weight_bits == 8


def test_a_rule_is_about_its_formats_only() -> None:
    wide = {"weight_bits": 8}
    assert Target.load("x86-avx2").check(artifact(format="tflite", quantization=wide)) == []
    assert len(Target.load("x86-avx2").check(artifact(format="openvino", quantization=wide))) == 1


def profile(tmp_path: Path, **changes: Any) -> str:
    base = yaml.safe_load((Path(__file__).parents[1] / "targets" / "raspberry-pi-5.yaml").read_text())
    path = tmp_path / "my-board.yaml"
    path.write_text(yaml.safe_dump({**base, **changes}))
    return str(path)


def test_a_users_own_board(tmp_path: Path) -> None:
    target = Target.load(profile(tmp_path, title="Mine", memory={"capacity_gib": 2, "source": "its label"}))
    assert (target.name, target.title) == ("my-board", "Mine")
    assert target.memory is not None and target.memory.capacity_gib == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": {"capacity_gib": 8}}, r"memory\.capacity_gib: 8 has no 'source'"),
        ({"memory": {"capacity_gib": 8, "source": ""}}, r"memory\.capacity_gib: 8 has no 'source'"),
        ({"memory": {"capacity": 8, "source": "x"}}, r"memory\.capacity: 8 has no unit"),
        ({"price_usd": 60}, "price_usd: 60 has no unit"),
        ({"runtimes": [{"name": "tensorrt", "version": 10.3, "source": "x"}]}, "version: 10.3 has no unit"),
        ({"colour": "green"}, "colour: Extra inputs are not permitted"),
        ({"architecture": "riscv"}, "architecture: Input should be"),
        ({"formats": []}, "formats: List should have at least 1 item"),
        ({"formats": [{"name": "onnx", "precisions": ["int4"]}]}, r"formats\.0\.precisions\.0"),
    ],
)
def test_a_profile_that_is_not_sound_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=message):
        Target.load(profile(tmp_path, **changes))


def test_a_file_that_is_no_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    for text, message in (("a: [", "not valid YAML"), ("- 1", "is a mapping"), ("a: !!python/object:os.x {}", "YAML")):
        path.write_text(text)
        with pytest.raises(TargetError, match=message):
            Target.load(str(path))
