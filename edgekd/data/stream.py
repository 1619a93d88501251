"""Decoding many samples in order, in bounded memory, and writing them to a .npy whose length is not known yet."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.data.decode import fit
from edgekd.data.reader import CorruptSample, Sample

CHUNK = 16  # samples per task: 2.4 MB of pixels at 224x224
MAX_THREADS = 8  # decoding beyond this outruns the disk
# Threads help where Pillow works outside Python's lock: 1.9 times faster on 2 cores for 640x480 JPEG (5 ms each), but
# 1.3 times slower for 32x32 (0.25 ms each).
THREADS_PAY_SECONDS = 0.001

Decoded: TypeAlias = "tuple[Sample, NDArray[np.uint8] | CorruptSample]"


def decode_one(sample: Sample, size: tuple[int, int], channels: int) -> NDArray[np.uint8] | CorruptSample:
    """`(H, W, C)` uint8, or why there is none."""
    try:
        return fit(sample.load(), size, channels)
    except CorruptSample as error:
        return error


def decode_all(samples: Sequence[Sample], size: tuple[int, int], channels: int, *, parallel: bool) -> Iterator[Decoded]:
    """Decodes every sample, in order.

    Args:
        samples: what to decode.
        size: (height, width) in pixels.
        channels: 1 or 3.
        parallel: several threads may be used, and are when the first chunk shows that they pay.
    """

    def work(chunk: Sequence[Sample]) -> list[Decoded]:
        return [(sample, decode_one(sample, size, channels)) for sample in chunk]

    chunks = [samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK)]
    begin = time.perf_counter()
    first = work(chunks[0]) if chunks else []
    slow = time.perf_counter() - begin > CHUNK * THREADS_PAY_SECONDS
    yield from first
    if parallel and slow:
        yield from _ahead(work, chunks[1:])
    else:
        for chunk in chunks[1:]:
            yield from work(chunk)


def _ahead(work: Callable[[Sequence[Sample]], list[Decoded]], chunks: Sequence[Sequence[Sample]]) -> Iterator[Decoded]:
    """Results in order, a few chunks ahead of the caller."""
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    pending: deque[Future[list[Decoded]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for chunk in chunks:
            pending.append(pool.submit(work, chunk))
            if len(pending) > 2 * threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class GrowingArray:
    """Writes the rows of a uint8 .npy file one after the other; the header gets the final length at the end.

    Plain writes, not a memory map: on a full disk a map ends the process with SIGBUS, a write raises OSError.
    """

    def __init__(self, path: Path, row: tuple[int, ...]) -> None:
        self.path = path
        self.rows = 0
        self._row = row
        self._stream = path.open("wb")
        self._start = self._header()

    def append(self, row: NDArray[np.uint8]) -> None:
        """Writes one row."""
        self._stream.write(row.tobytes())
        self.rows += 1

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:  # otherwise the file is of no use
                self._stream.seek(0)
                if self._header() != self._start:
                    raise RuntimeError("numpy no longer reserves room for the row count in a .npy header")
        finally:
            self._stream.close()

    def _header(self) -> int:
        """Writes the header; numpy pads it so that its length is the same for every number of rows."""
        description = {"descr": "|u1", "fortran_order": False, "shape": (self.rows, *self._row)}
        cast(Any, np.lib.format).write_array_header_1_0(self._stream, description)
        return self._stream.tell()
