"""Axes: what each dimension of each tensor of a network counts, and which of them must keep the same units.

An `Atom` is one counted thing: the channels between two layers, the heads of an attention, the hidden dimensions of a
residual stream. A dimension is a product of atoms in row-major order: the flattened output of a convolution is
[channels, height, width], that of a fused query-key-value layer [3, heads, head_dim]; a dimension of size 1 is the
empty product. Where two dimensions must agree (a layer's input and its weight, both sides of an addition), `unify`
makes their atoms one, and splits an atom where the other side knows its factors.

What can be narrowed together is thereby found, not listed: the structural coupling of Fang et al. 2023, "DepGraph:
Towards Any Structural Pruning", https://arxiv.org/abs/2301.12900.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

FIXED = "fixed"
"""Not to be narrowed: inputs, spatial sizes, and whatever passes an operator without a rule."""
WHOLE = "whole"
"""Read by more than weights, as a norm or the network's own output: narrower only in a student that is built so."""
STREAM = "stream"
"""Added to the output of another layer: the residual stream."""
HEADS = "heads"
HEAD_DIM = "head_dim"


class Atom:
    """One counted thing. Compare by identity; `leaves` gives the atom that stands for it now.

    Attributes:
        size: number of units.
        marks: what is known of it: `FIXED`, `WHOLE`, `STREAM`, `HEADS`, `HEAD_DIM`.
        parts: the atoms that it was split into, outer first; or the one that it was made one with; or nothing.
    """

    def __init__(self, size: int, marks: Iterable[str] = ()) -> None:
        self.size = size
        self.marks = set(marks)
        self.parts: tuple[Atom, ...] = ()

    def split(self, outer: int) -> None:
        """Becomes the product of `outer` and the rest."""
        self.parts = (Atom(outer, self.marks), Atom(self.size // outer, self.marks))


Factors = list[Atom]
Dims = list[Factors]


def leaves(factors: Iterable[Atom]) -> Factors:
    """The atoms that stand for these now."""
    found: Factors = []
    for atom in factors:
        found += leaves(atom.parts) if atom.parts else [atom]
    return found


def fresh(size: int, *marks: str) -> Factors:
    """A dimension of which nothing is known but its size."""
    return [] if size == 1 else [Atom(size, marks)]


def size_of(factors: Iterable[Atom]) -> int:
    """The size of a dimension."""
    return prod(atom.size for atom in factors)


def mark(factors: Iterable[Atom], *names: str) -> None:
    """Marks every atom of a dimension."""
    for atom in leaves(factors):
        atom.marks.update(names)


def unify(left: Factors, right: Factors) -> None:
    """Makes two dimensions one; where their factors do not match, neither can be narrowed."""
    while True:
        first, second = leaves(left), leaves(right)
        pair = next(((a, b) for a, b in zip(first, second, strict=False) if a is not b), None)
        if pair is None:
            return
        small, large = sorted(pair, key=lambda atom: atom.size)
        if small.size == large.size:
            small.marks |= large.marks
            large.parts = (small,)
        elif large.size % small.size == 0:
            large.split(small.size)
        else:
            mark([*first, *second], FIXED)
            return


def reshaped(dims: Sequence[Factors], shape: Sequence[int]) -> Dims:
    """The dimensions of a row-major reshape; those that cut through an atom unevenly are fixed."""
    waiting = leaves(atom for factors in dims for atom in factors)
    found: Dims = []
    for size in shape:
        taken: Factors = []
        while size_of(taken) < size and (waiting := leaves(waiting)):
            need, atom = size // size_of(taken), waiting[0]
            if atom.size > need:
                if atom.size % need:
                    break
                atom.split(need)
                waiting[:1] = atom.parts
            taken.append(waiting.pop(0))
        if size_of(taken) != size:
            mark([*waiting, *(atom for factors in (*found, taken) for atom in factors)], FIXED)
            return [fresh(size, FIXED) for size in shape]
        found.append(taken)
    return found
