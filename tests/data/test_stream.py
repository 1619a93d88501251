from __future__ import annotations

import errno
import io
import time
from pathlib import Path

import numpy as np
import pytest

from edgekd.data.reader import Content, CorruptSample, Sample
from edgekd.data.stream import GrowingArray, decode_all


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 101, 1000])
def test_a_grown_file_has_the_bytes_of_numpys_own(tmp_path: Path, rows: int) -> None:
    data = np.random.default_rng(rows).integers(0, 256, (rows, 3, 4, 1), dtype=np.uint8)
    with GrowingArray(tmp_path / "a.npy", (3, 4, 1)) as array:
        for row in data:
            array.append(row)
    expected = io.BytesIO()
    np.save(expected, data)
    assert (tmp_path / "a.npy").read_bytes() == expected.getvalue()


def test_a_full_disk_raises_and_does_not_kill() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def fill() -> None:
        with GrowingArray(full, (1000, 1000)) as array:
            array.append(np.zeros((1000, 1000), np.uint8))

    with pytest.raises(OSError) as caught:
        fill()
    assert caught.value.errno == errno.ENOSPC


def sample(index: int, seconds: float) -> Sample:
    def load() -> Content:
        time.sleep(seconds)
        if index % 7 == 3:
            raise CorruptSample(f"bad {index}")
        return np.full((2, 2), index, np.uint8)

    return Sample(str(index), load)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
@pytest.mark.parametrize("seconds", [0.0, 0.0015], ids=["fast", "slow enough for threads"])
def test_order_and_results_do_not_depend_on_threads(count: int, seconds: float) -> None:
    got = list(decode_all([sample(index, seconds) for index in range(count)], (2, 2), 1, parallel=True))
    assert [one.origin for one, _ in got] == [str(index) for index in range(count)]
    for index, (_, image) in enumerate(got):
        if index % 7 == 3:
            assert isinstance(image, CorruptSample) and str(image) == f"bad {index}"
        else:
            assert not isinstance(image, CorruptSample) and (image == index).all()


def test_an_abandoned_stream_ends_its_threads() -> None:
    stream = decode_all([sample(index, 0.0015) for index in range(2000)], (2, 2), 1, parallel=True)
    for _ in range(20):
        next(stream)
    start = time.monotonic()
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert time.monotonic() - start < 1.5  # 2000 samples would take 3 s / threads
