"""Single-spin flips of the Ising model on one sublattice after the other."""

from typing import NamedTuple

import numpy as np
from numba import int8, prange, uint8

from systems.lattices.monte_carlo.chances import split_chances
from systems.lattices.monte_carlo.compiled import compiled, compiled_over_chains
from systems.lattices.monte_carlo.schedule import Plan, Records, record_index, stored_index
from systems.lattices.monte_carlo.streams import bytes_block, draw_word, fill_block
from systems.lattices.monte_carlo.sublattices import (
    Sublattices,
    fill_neighbour_sums,
    join_spins,
    split_spins,
)

_CHUNK = 4096  # spins that are decided at once; their random bytes stay in the cache
_WIDTH = 256  # sublattices are padded to a multiple of it: whole vector instructions only
_N_CLASSES = 14  # (spin, sum of neighbours) in three dimensions
_MIDDLE = 6  # class of a spin down whose neighbours sum to zero


class FlipChances(NamedTuple):
    """Probability to flip a spin of each class, as head of 8 bits and tail of 64 bits.

    The class of a spin s with neighbours' sum n is n + 6 + (s + 1) / 2.

    Args:
        heads: uint8 (n_chains, 14).
        tails: uint64 (n_chains, 14).
    """

    heads: np.ndarray
    tails: np.ndarray


def energy_changes(J: float, h: float) -> np.ndarray:
    """Change of the energy by a flip, 2 s (J n + h), of each class: float64 (14,)."""
    classes = np.arange(_N_CLASSES)
    spins = 2 * (classes % 2) - 1
    return 2.0 * spins * (J * (classes - classes % 2 - _MIDDLE) + h)


def make_flip_chances(p: np.ndarray) -> FlipChances:
    """Split probabilities (n_chains, 14) into heads and tails."""
    heads, tails = split_chances(p, 8)
    return FlipChances(heads.astype(np.uint8), tails)


@compiled_over_chains
def run_local_updates(
    spins: np.ndarray,
    streams: np.ndarray,
    chances: FlipChances,
    layout: Sublattices,
    plan: Plan,
    records: Records,
) -> None:
    """Advance all chains; spins int8 (n_chains, V) and streams are changed in place."""
    for c in prange(spins.shape[0]):
        chain = FlipChances(chances.heads[c], chances.tails[c])
        out = Records(
            records.bond_sum[c], records.spin_sum[c], records.flipped[c], records.spins[c]
        )
        _run_chain(spins[c], streams[c], chain, layout, plan, out)


@compiled
def _run_chain(
    spins: np.ndarray,
    stream: np.ndarray,
    chances: FlipChances,
    layout: Sublattices,
    plan: Plan,
    records: Records,
) -> None:
    half = spins.size // 2
    padded = (half + _WIDTH - 1) // _WIDTH * _WIDTH
    parts, sums = np.zeros((2, padded), np.int8), np.zeros(padded, np.int8)
    ties = np.empty(min(padded, _CHUNK), np.uint8)
    block = bytes_block(ties.size)
    random = block.reshape(-1).view(np.uint8)
    heads = _as_tuple(chances.heads)
    split_spins(spins, layout, parts)
    for n_done in range(1, plan.n_burn_in + plan.n_sweeps + 1):
        for colour in range(2):
            fill_neighbour_sums(
                parts[1 - colour, :half], layout.to_right[colour], layout.lengths, sums[:half]
            )
            for start in range(0, padded, _CHUNK):
                stop = min(start + _CHUNK, padded)
                fill_block(stream, block)
                own, near = parts[colour, start:stop], sums[start:stop]
                _flip(own, near, random, heads, ties)
                _settle_ties(own[: half - start], near, chances.tails, ties, stream)
        record = record_index(plan, n_done)
        if record >= 0:
            records.bond_sum[record], records.spin_sum[record] = _measure(parts[:, :half], sums)
            stored = stored_index(plan, record)
            if stored >= 0:
                join_spins(parts, layout, records.spins[stored])
    join_spins(parts, layout, spins)


@compiled
def _as_tuple(heads: np.ndarray) -> tuple[int, ...]:
    a, b, c, d, e, f, g = heads[:7]
    h, i, j, k, m, n, o = heads[7:]
    return a, b, c, d, e, f, g, h, i, j, k, m, n, o


@compiled
def _flip(
    own: np.ndarray,
    near: np.ndarray,
    random: np.ndarray,
    heads: tuple[int, ...],
    ties: np.ndarray,
) -> None:
    for i in range(own.size):
        s = own[i]
        of_class = int8(near[i] + _MIDDLE + int8(s > 0))
        head = heads[0]
        for k in range(1, len(heads)):
            if of_class == int8(k):
                head = heads[k]
        byte = random[i]
        ties[i] = uint8(byte == head)
        own[i] = -s if byte < head else s


@compiled
def _settle_ties(
    own: np.ndarray,
    near: np.ndarray,
    tails: np.ndarray,
    ties: np.ndarray,
    stream: np.ndarray,
) -> None:
    words = ties.view(np.uint64)
    for w in range((own.size + 7) // 8):
        if words[w] != 0:
            for i in range(8 * w, min(8 * w + 8, own.size)):
                of_class = near[i] + _MIDDLE + int8(own[i] > 0)
                if ties[i] != 0 and draw_word(stream) < tails[of_class]:
                    own[i] = -own[i]


@compiled
def _measure(parts: np.ndarray, sums: np.ndarray) -> tuple[int, int]:
    # The sums are those of the odd sites, whose neighbours have not changed since: every bond once.
    bond_sum, spin_sum = 0, 0
    even, odd = parts
    for i in range(even.size):
        bond_sum += odd[i] * sums[i]
        spin_sum += even[i] + odd[i]
    return bond_sum, spin_sum
