"""Sums over spins that are kept as bits, 1 for up and 0 for down."""

import numpy as np
from numba import int8, uint8

from systems.lattices.monte_carlo.compiled import compiled


@compiled
def to_bits(spins: np.ndarray, bits: np.ndarray) -> None:
    """Write spins, int8 -1 or 1, as bits, uint8."""
    for i in range(spins.size):
        bits[i] = uint8(spins[i] > 0)


@compiled
def to_spins(bits: np.ndarray, spins: np.ndarray) -> None:
    """Write bits, uint8, as spins, int8 -1 or 1."""
    for i in range(spins.size):
        spins[i] = int8(2 * bits[i] - 1)


@compiled
def spin_sum(bits: np.ndarray) -> int:
    """Sum of the spins."""
    n_up = 0
    for i in range(bits.size):
        n_up += bits[i]
    return 2 * n_up - bits.size


@compiled
def bond_sum(bits: np.ndarray, lengths: np.ndarray) -> int:
    """Sum of the products of neighbours over sites and forward directions.

    Args:
        bits: uint8 (V,).
        lengths: Lengths of the lattice, int64 (d,).
    """
    n_unequal, block = 0, 1
    for axis in range(lengths.size - 1, -1, -1):
        span = block * lengths[axis]
        if axis == lengths.size - 1:
            n_unequal += _unequal_in_rows(bits, span)
        else:
            for start in range(0, bits.size, span):
                stop = start + span
                n_unequal += _unequal(bits[start : stop - block], bits[start + block : stop])
                n_unequal += _unequal(bits[stop - block : stop], bits[start : start + block])
        block = span
    return lengths.size * bits.size - 2 * n_unequal


@compiled
def _unequal(a: np.ndarray, b: np.ndarray) -> int:
    n = 0
    for i in range(a.size):
        n += a[i] ^ b[i]
    return n


@compiled
def _unequal_in_rows(bits: np.ndarray, width: int) -> int:
    n = _unequal(bits[:-1], bits[1:])
    for first in range(0, bits.size, width):
        last = first + width - 1
        n += bits[last] ^ bits[first]
        if last + 1 < bits.size:
            n -= bits[last] ^ bits[last + 1]
    return n
