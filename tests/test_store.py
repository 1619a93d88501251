"""The store: keys, atomicity, verification, resumption."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.errors import StoreError
from edgekd.store import Store, key_of, source_digest, write_atomically


def store_in(path: Path) -> tuple[Store, list[str]]:
    warnings: list[str] = []
    return Store(path, warnings.append), warnings


def writer(text: str, calls: list[str]):
    def build(folder: Path) -> dict[str, object]:
        calls.append(text)
        (folder / "weights.bin").write_text(text)
        return {"seconds": 1.5}

    return build


def test_second_call_builds_nothing(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    calls: list[str] = []
    first = store.get("student", {"seed": 1}, writer("a", calls))
    second = store.get("student", {"seed": 1}, writer("b", calls))
    assert calls == ["a"]
    assert (first.fresh, second.fresh) == (True, False)
    assert second.digest == first.digest
    assert (second.folder / "weights.bin").read_text() == "a"
    assert second.info == {"seconds": 1.5}


def test_inputs_that_differ_never_share(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    calls: list[str] = []
    for inputs in ({"seed": 1}, {"seed": 2}, {"seed": "1"}, {"seed": 1, "data": "x"}, {"data": {"seed": 1}}):
        store.get("student", inputs, writer(str(inputs), calls))
    assert len(calls) == 5


def test_digest_is_of_bytes_not_of_timings(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)

    def build(text: str, seconds: float):
        def inner(folder: Path) -> dict[str, object]:
            (folder / "w").write_text(text)
            return {"seconds": seconds}

        return inner

    one, two, three = (
        store.get("s", {"k": k}, build(t, s)) for k, t, s in ((1, "a", 1.0), (2, "a", 9.0), (3, "b", 1.0))
    )
    assert one.digest == two.digest != three.digest


@pytest.mark.parametrize("victim", ["weights.bin", "entry.json"])
def test_a_flipped_byte_is_found_and_rebuilt(tmp_path: Path, victim: str) -> None:
    store, warnings = store_in(tmp_path)
    calls: list[str] = []
    entry = store.get("student", {"seed": 1}, writer("hello", calls))
    path = entry.folder / victim
    data = bytearray(path.read_bytes())
    position = data.find(b"1.5") if victim == "entry.json" else 2
    data[position] ^= 1
    path.write_bytes(bytes(data))
    again = store.get("student", {"seed": 1}, writer("hello", calls))
    assert calls == ["hello", "hello"]
    assert again.digest == entry.digest
    assert "damaged" in warnings[0] and victim in warnings[0]


def test_an_entry_without_its_record_is_rebuilt(tmp_path: Path) -> None:
    store, warnings = store_in(tmp_path)
    entry = store.get("student", {"seed": 1}, writer("hello", []))
    (entry.folder / "entry.json").unlink()
    again = store.get("student", {"seed": 1}, writer("hello", []))
    assert again.fresh and again.digest == entry.digest and "entry.json" in warnings[0]


def test_many_processes_find_damaged_entries(tmp_path: Path) -> None:
    """One moves each aside; the others see that it is gone."""
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from edgekd.store import Store, key_of
        root = Path(sys.argv[1])
        store = Store(root, lambda text: None)
        print("ready", flush=True)
        while not (root / "go").exists():
            time.sleep(0.0001)
        for index in range(60):
            assert store.find("s", key_of({"k": index})) is None
    """)
    store, _ = store_in(tmp_path)
    for index in range(60):
        entry = store.get("s", {"k": index}, writer("hello" * 20_000, []))
        (entry.folder / "weights.bin").write_text("damaged")
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(4)]
    assert [process.stdout.readline() for process in running if process.stdout] == ["ready\n"] * 4
    (tmp_path / "go").touch()
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors


def test_what_a_killed_attempt_was_writing_is_no_part_of_the_result(tmp_path: Path) -> None:
    clean = store_in(tmp_path / "clean")[0].get("s", {"k": 1}, writer("a", []))
    store, _ = store_in(tmp_path / "killed")
    work = store.root / "s" / f"{key_of({'k': 1})}.work" / "inner"
    work.mkdir(parents=True)
    for left in (work / ".facts.json.77.tmp", work.parent / ".data.json.77.tmp"):
        left.write_text("{")
    entry = store.get("s", {"k": 1}, writer("a", []))
    assert sorted(entry.files) == ["weights.bin"] and entry.digest == clean.digest


def test_a_failed_build_leaves_its_work_for_the_next(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)

    def failing(folder: Path) -> dict[str, object]:
        (folder / "resume-state").write_text("step 7")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        store.get("student", {"seed": 1}, failing)

    def resuming(folder: Path) -> dict[str, object]:
        assert (folder / "resume-state").read_text() == "step 7"
        (folder / "weights.bin").write_text("done")
        return {}

    entry = store.get("student", {"seed": 1}, resuming)
    assert sorted(entry.files) == ["weights.bin"]
    assert not (entry.folder / "resume-state").exists()


def test_kill_at_any_moment_leaves_all_or_nothing(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from edgekd.store import Store
        def build(folder):
            for index in range(200):
                (folder / f"{index}.bin").write_bytes(bytes(1000))
                time.sleep(0.001)
            return {}
        Store(Path(sys.argv[1]), print).get("s", {"k": 1}, build)
    """)
    store, warnings = store_in(tmp_path)
    for delay in (0.3, 0.45, 0.6, 0.75):
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = store.find("s", key_of({"k": 1}))
        assert found is None or len(found.files) == 200
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    found = store.find("s", key_of({"k": 1}))
    assert found is not None and len(found.files) == 200
    assert warnings == []


def test_full_disk_is_explained(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)

    def build(folder: Path) -> dict[str, object]:
        with Path("/dev/full").open("w") as full:
            full.write("x" * 100_000)
        return {}

    with pytest.raises(StoreError, match="disk is full") as caught:
        store.get("s", {"k": 1}, build)
    assert "run the same command again" in str(caught.value)
    assert caught.value.exit_code == 7


def test_unwritable_place_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store, _ = store_in(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        store.get("s", {"k": 1}, writer("a", []))
    assert "--store" in str(caught.value)


@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.none()), max_size=4
    )
)
def test_key_ignores_order_only(inputs: dict[str, object]) -> None:
    assert key_of(inputs) == key_of(dict(reversed(list(inputs.items()))))
    assert key_of(inputs) != key_of({**inputs, "another": 1})


def test_key_refuses_what_json_cannot_hold() -> None:
    with pytest.raises((TypeError, ValueError)):
        key_of({"x": float("nan")})
    with pytest.raises(TypeError):
        key_of({"x": {1, 2}})


def test_source_digest_covers_files_and_folders() -> None:
    assert source_digest("edgekd.store") != source_digest("edgekd.errors")
    assert source_digest("edgekd.data") == source_digest("edgekd.data")


def test_write_atomically_replaces(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["x.json"]
