"""Ragged sequences against plain lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekd.data.ragged import Ragged, spans

SEQUENCES = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=7), min_size=1, max_size=12)


@given(SEQUENCES, st.data())
def test_padding_and_gathering_equal_plain_lists(lists: list[list[int]], draw: st.DataObject) -> None:
    ragged = Ragged.of([np.array(one, np.int32) for one in lists])
    rows = np.array(draw.draw(st.lists(st.integers(0, len(lists) - 1), min_size=1, max_size=6)))
    longest = max(len(lists[row]) for row in rows)
    ids, mask = ragged.padded(rows, pad=0)
    assert ids.tolist() == [lists[row] + [0] * (longest - len(lists[row])) for row in rows]
    assert mask.tolist() == [[1] * len(lists[row]) + [0] * (longest - len(lists[row])) for row in rows]
    assert ids.dtype == mask.dtype == np.int64
    assert ragged.values[ragged.flat(rows)].tolist() == [token for row in rows for token in lists[row]]


@given(SEQUENCES, st.integers(1, 4))
def test_groups_of_one_length_hold_everything_once(lists: list[list[int]], size: int) -> None:
    ragged = Ragged.of([np.array(one, np.int32) for one in lists])
    groups = list(ragged.by_length(size))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lists)))
    assert all(len(group) <= size and len({len(lists[i]) for i in group}) == 1 for group in groups)


def test_spans_and_files(tmp_path: Path) -> None:
    assert spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert spans(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []
    ragged = Ragged.of([np.array([1, 2], np.int32), np.array([3], np.int32)])
    ragged.save(tmp_path, "calibration_")
    again = Ragged.load(tmp_path, "calibration_")
    assert len(again) == 2 and again[0].tolist() == [1, 2] and again[1].tolist() == [3]
