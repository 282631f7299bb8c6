"""Spins apart by sublattice: all even sites in one flat array, all odd sites in another.

Both arrays keep the row-major order of the lattice, so that element j of either belongs to the same
pair of columns of the same row. The neighbours of a site of one sublattice are then elements of
the other at the same index (in its own row), one to the left or to the right of it, and a whole
number of rows away: everything is contiguous and the compiler makes vector instructions of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from systems.lattices.geometry import check_lattice, parity
from systems.lattices.monte_carlo.compiled import compiled


class Sublattices(NamedTuple):
    """Where the sites are.

    Args:
        lengths: Lengths of the lattice, int64 (d,).
        sites: Flat index of each even and each odd site, int64 (2, V / 2).
        to_right: -1 where the second neighbour within the row is one element to the right, 0 where
            it is one to the left, int8 (2, V / 2).
    """

    lengths: np.ndarray
    sites: np.ndarray
    to_right: np.ndarray


def make_sublattices(shape: Sequence[int]) -> Sublattices:
    """Sublattices of a lattice of even lengths.

    Raises:
        ValueError: The shape is no lattice or a length is odd.
    """
    lengths = check_lattice(shape, even=True)
    colour = parity(lengths).ravel()
    sites = np.stack([np.flatnonzero(colour == 0), np.flatnonzero(colour == 1)])
    in_odd_column = sites % lengths[-1] % 2
    return Sublattices(np.array(lengths), sites, (-in_odd_column).astype(np.int8))


@compiled
def split_spins(spins: np.ndarray, layout: Sublattices, parts: np.ndarray) -> None:
    """Copy spins (V,) to their sublattices (2, at least V / 2)."""
    for colour in range(2):
        for j in range(layout.sites.shape[1]):
            parts[colour, j] = spins[layout.sites[colour, j]]


@compiled
def join_spins(parts: np.ndarray, layout: Sublattices, spins: np.ndarray) -> None:
    """Copy sublattices (2, at least V / 2) back to spins (V,)."""
    for colour in range(2):
        for j in range(layout.sites.shape[1]):
            spins[layout.sites[colour, j]] = parts[colour, j]


@compiled
def fill_neighbour_sums(
    other: np.ndarray, to_right: np.ndarray, lengths: np.ndarray, sums: np.ndarray
) -> None:
    """Sum the 2 d neighbours of every site of one sublattice.

    Args:
        other: Spins of the other sublattice, int8 (V / 2,).
        to_right: The layout's row for the sublattice that is summed for.
        lengths: Lengths of the lattice.
        sums: Where the sums go, int8 (V / 2,).
    """
    block = lengths[-1] // 2
    _fill_row_sums(other, to_right, block, sums)
    for axis in range(lengths.size - 2, -1, -1):
        _add_rolled(other, lengths[axis], block, sums)
        block *= lengths[axis]


@compiled
def _fill_row_sums(other: np.ndarray, to_right: np.ndarray, half: int, sums: np.ndarray) -> None:
    n = other.size
    left, right = other[: max(n - 2, 0)], other[2:]
    middle, masks, inner = other[1 : n - 1], to_right[1 : n - 1], sums[1 : n - 1]
    for i in range(inner.size):
        mask = masks[i]
        inner[i] = middle[i] + ((right[i] & mask) | (left[i] & ~mask))
    # The ends of each row took a neighbour from the next or last row; give them their own.
    for first in range(0, n, half):
        last = first + half - 1
        i, partner = (last, first) if to_right[first] != 0 else (first, last)
        sums[i] = other[i] + other[partner]
    if half > 1:
        for i in (0, n - 1):
            partner = i + 1 if to_right[i] != 0 else i - 1
            if 0 <= partner < n:
                sums[i] = other[i] + other[partner]


@compiled
def _add_rolled(other: np.ndarray, length: int, block: int, sums: np.ndarray) -> None:
    for start in range(0, sums.size, length * block):
        stop = start + length * block
        _add(sums[start : stop - block], other[start + block : stop])
        _add(sums[stop - block : stop], other[start : start + block])
        _add(sums[start + block : stop], other[start : stop - block])
        _add(sums[start : start + block], other[stop - block : stop])


@compiled
def _add(sums: np.ndarray, values: np.ndarray) -> None:
    for i in range(sums.size):
        sums[i] += values[i]
