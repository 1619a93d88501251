from __future__ import annotations

import pytest

from edgekd.errors import ExportError
from edgekd.export.kernels import Kernels


def test_a_layer_that_runs_in_float_is_a_defect() -> None:
    with pytest.raises(ExportError, match=r"no faster(.|\n)*received: 2 Conv"):
        Kernels({"Conv": 5}, {"Conv": 2}).require({"Conv": 7}, "a runtime")


def test_a_kept_layer_that_runs_in_integers_is_a_defect() -> None:
    with pytest.raises(ExportError, match=r"keeps in float(.|\n)*received: 1 Gemm"):
        Kernels({"Conv": 7, "Gemm": 1}, {}).require({"Conv": 7}, "a runtime")


def test_light_operators_are_only_counted() -> None:
    assert Kernels({"Conv": 7}, {}).require({"Conv": 7, "Add": 3}, "a runtime") == {"Add": 3}
    assert Kernels({"Conv": 7, "Add": 4}, {}).require({"Conv": 7, "Add": 3}, "a runtime") == {}
