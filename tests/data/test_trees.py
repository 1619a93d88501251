from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from edgekd.data.reader import CorruptSample
from edgekd.data.trees import folder_tree, zip_tree
from edgekd.errors import DataError


def make_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as stream:
        for name in names:
            stream.writestr(name, name)
    return path


def test_folder_and_zip_list_the_same(tmp_path: Path) -> None:
    names = ["b/2.JPG", "b/1.png", "a/x/3.webp", "a/notes.txt", ".git/4.png", "b/.hidden.png", "__MACOSX/b/1.png"]
    for name in names:
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    packed = zip_tree(make_zip(tmp_path / "tree.zip", *names))
    loose = folder_tree(tmp_path / "tree")
    assert list(packed.images) == list(loose.images) == ["a/x/3.webp", "b/1.png", "b/2.JPG"]
    assert packed.others == loose.others == ["a/notes.txt"]
    assert packed.folders == loose.folders == ["a", "a/x", "b"]
    assert [read() for read in packed.images.values()] == [read() for read in loose.images.values()]


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/etc/out.png", "C:/out.png", "..\\out.png"])
def test_paths_that_leave_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leaves it"):
        zip_tree(make_zip(tmp_path / "slip.zip", "a/1.png", name))


def test_pipes_devices_and_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for name, make in {
        "pipe": lambda path: os.mkfifo(path / "1.png"),
        "device": lambda path: (path / "1.png").symlink_to("/dev/zero"),
        "bytes": lambda path: Path(os.fsdecode(os.fsencode(path) + b"/\xff.png")).write_text("x"),
        "folder": lambda path: Path(os.fsdecode(os.fsencode(path) + b"/\xff")).mkdir(),
    }.items():
        (tmp_path / name / "a").mkdir(parents=True)
        make(tmp_path / name / "a")
        with pytest.raises(DataError, match="pipe or a device" if name in ("pipe", "device") else "is no text"):
            folder_tree(tmp_path / name)


def test_a_member_that_unpacks_to_all_memory_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream, stream.open("a/1.png", "w") as member:
        for _ in range(501):
            member.write(bytes(1_000_000))
    (read,) = zip_tree(path).images.values()
    with pytest.raises(CorruptSample, match="unpacks to 501000000 bytes"):
        read()


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "whole.zip", "a/1.png", "b/2.png")
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-30])
    (tmp_path / "text.zip").write_text("no zip at all")
    for name in ("cut.zip", "text.zip"):
        with pytest.raises(DataError, match="cannot be opened"):
            zip_tree(tmp_path / name)


def test_a_path_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = make_zip(tmp_path / "twice.zip", "a/1.png", "a/1.png")
    with pytest.raises(DataError, match="twice"):
        zip_tree(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "plain.zip", "a/1.png").read_bytes())
    data[6] |= 1  # flag bit 0 in the member's header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    (tmp_path / "secret.zip").write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        zip_tree(tmp_path / "secret.zip")


def test_a_flipped_byte_in_a_member_is_a_corrupt_sample(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "one.zip", "a/1.png")
    data = bytearray(path.read_bytes())
    data[data.index(b"a/1.png") + len(b"a/1.png")] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptSample, match="CRC"):
        zip_tree(path).images["a/1.png"]()


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real" / "cat").mkdir(parents=True)
    (tmp_path / "real" / "cat" / "1.png").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "cat").symlink_to(tmp_path / "real" / "cat")
    (tmp_path / "tree" / "loop").symlink_to(tmp_path / "tree")
    assert list(folder_tree(tmp_path / "tree").images) == ["cat/1.png"]


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    read = folder_tree(tmp_path).images["1.png"]
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"1\.png"):
        read()
