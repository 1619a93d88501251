"""Atoms: splitting, joining and reshaping dimensions, against hand-made cases and a reshape of numbered values."""

from __future__ import annotations

import pytest
import torch

from edgekd.models.axes import FIXED, HEADS, Atom, fresh, leaves, mark, reshaped, size_of, unify


def test_a_known_product_splits_the_other_side() -> None:
    heads, size, hidden = Atom(4), Atom(8), Atom(32)
    unify([hidden], [heads, size])
    assert leaves([hidden]) == leaves([heads, size]) and [atom.size for atom in leaves([hidden])] == [4, 8]
    other = Atom(32)
    unify([other], [hidden])
    assert leaves([other]) == leaves([hidden])


def test_marks_travel_with_what_is_joined_and_split() -> None:
    a, b = Atom(6), Atom(6)
    mark([a], HEADS)
    unify([a], [b])
    mark([b], FIXED)
    assert leaves([a])[0] is leaves([b])[0] and leaves([a])[0].marks == {HEADS, FIXED}
    c = Atom(12, [FIXED])
    c.split(3)
    assert [part.marks for part in leaves([c])] == [{FIXED}, {FIXED}]


def test_factors_that_do_not_match_are_fixed() -> None:
    left, right = [Atom(4), Atom(6)], [Atom(6), Atom(4)]
    unify(left, right)
    assert all(FIXED in atom.marks for atom in leaves([*left, *right]))


@pytest.mark.parametrize(
    ("before", "after"),
    [((2, 3, 4), (6, 4)), ((6, 4), (2, 3, 4)), ((2, 12), (2, 1, 3, 4)), ((2, 1, 12), (2, 4, 3)), ((8, 9), (4, 2, 9))],
)
def test_reshapes_are_row_major(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    dims = [fresh(size) for size in before]
    found = reshaped(dims, after)
    assert tuple(map(size_of, found)) == after
    atoms = leaves(atom for factors in dims for atom in factors)
    assert leaves(atom for factors in found for atom in factors) == atoms
    # Cutting a unit of an atom before or after the reshape is the same.
    values = torch.arange(torch.Size(before).numel()).reshape([atom.size for atom in atoms])
    assert torch.equal(values.reshape(before).reshape(after), values.reshape(after))
    assert not any(FIXED in atom.marks for atom in atoms)


def test_a_reshape_through_an_atom_fixes_it() -> None:
    dims = [fresh(6), fresh(4)]
    found = reshaped(dims, (4, 6))
    assert tuple(map(size_of, found)) == (4, 6)
    assert all(FIXED in atom.marks for factors in (*dims, *found) for atom in leaves(factors))


def test_one_atom_twice_in_a_reshape() -> None:
    (atom,) = fresh(6)
    found = reshaped([[atom], [atom]], (2, 3, 6))
    assert leaves(found[0] + found[1]) == leaves(found[2])
