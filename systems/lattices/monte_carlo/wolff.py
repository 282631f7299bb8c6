"""Wolff's single clusters for the Ising model without a field, spins as bits.

The cluster grows in the order in which its sites joined; sites join without a branch, and the
four chances of a site's neighbours are compared in one word of four times 16 bits.

References:
    Wolff, Phys. Rev. Lett. 62 (1989) 361.
"""

from typing import NamedTuple

import numpy as np
from numba import prange, uint8, uint32, uint64

from systems.lattices.monte_carlo.bit_sums import bond_sum, spin_sum, to_bits, to_spins
from systems.lattices.monte_carlo.compiled import compiled, compiled_over_chains
from systems.lattices.monte_carlo.schedule import Plan, Records, record_index, stored_index
from systems.lattices.monte_carlo.streams import (
    State,
    first_lane,
    keep_first_lane,
    next_word,
    to_below,
)

_TOPS = 0x8000_8000_8000_8000
_ONES = 0x0001_0001_0001_0001


class ClusterChances(NamedTuple):
    """What the clusters of a chain depend on.

    Args:
        heads: First 15 bits of the probability of a bond, uint64 (n_chains,).
        tails: Its further 64 bits, uint64 (n_chains,).
        n_clusters: Clusters in one sweep.
    """

    heads: np.ndarray
    tails: np.ndarray
    n_clusters: int


class Neighbourhood(NamedTuple):
    """The lattice as the growth of a cluster takes it.

    Args:
        lengths: Lengths of the lattice, int64 (d,).
        table: Neighbours of each site in groups of four, filled up with V, which stands for a site
            that never joins: uint32 (V, 4 or 8).
    """

    lengths: np.ndarray
    table: np.ndarray


def make_neighbourhood(neighbours: np.ndarray, lengths: tuple[int, ...]) -> Neighbourhood:
    """Fill up the table of neighbours (V, 2 d) to groups of four."""
    n_sites, n_neighbours = neighbours.shape
    table = np.full((n_sites, -(-n_neighbours // 4) * 4), n_sites, dtype=np.uint32)
    table[:, :n_neighbours] = neighbours
    return Neighbourhood(np.array(lengths), table)


@compiled_over_chains
def run_wolff(
    spins: np.ndarray,
    streams: np.ndarray,
    chances: ClusterChances,
    near: Neighbourhood,
    plan: Plan,
    records: Records,
) -> None:
    """Advance all chains; spins int8 (n_chains, V) and streams are changed in place."""
    for c in prange(spins.shape[0]):
        chain = (chances.heads[c], chances.tails[c], chances.n_clusters)
        out = Records(
            records.bond_sum[c], records.spin_sum[c], records.flipped[c], records.spins[c]
        )
        _run_chain(spins[c], streams[c], chain, near, plan, out)


@compiled
def _run_chain(
    spins: np.ndarray,
    stream: np.ndarray,
    chain: tuple[int, int, int],
    near: Neighbourhood,
    plan: Plan,
    records: Records,
) -> None:
    head, tail, n_clusters = chain
    n_sites = spins.size
    bits = np.empty(n_sites + 1, np.uint8)
    queue = np.empty(n_sites + 1, np.uint32)
    to_bits(spins, bits[:n_sites])
    state = first_lane(stream)
    n_flipped = 0
    for n_done in range(1, plan.n_burn_in + plan.n_sweeps + 1):
        for _ in range(n_clusters):
            size, state = _flip_cluster(bits, near.table, queue, (head, tail), state)
            n_flipped += size
        if n_done == plan.n_burn_in:
            n_flipped = 0
        record = record_index(plan, n_done)
        if record >= 0:
            records.bond_sum[record] = bond_sum(bits[:n_sites], near.lengths)
            records.spin_sum[record] = spin_sum(bits[:n_sites])
            records.flipped[record] = n_flipped
            n_flipped = 0
            stored = stored_index(plan, record)
            if stored >= 0:
                to_spins(bits[:n_sites], records.spins[stored])
    keep_first_lane(stream, state)
    to_spins(bits[:n_sites], spins)


@compiled
def _flip_cluster(
    bits: np.ndarray,
    table: np.ndarray,
    queue: np.ndarray,
    chance: tuple[int, int],
    state: State,
) -> tuple[int, State]:
    n_sites = bits.size - 1
    word, state = next_word(state)
    seed = uint32(to_below(word, n_sites))
    other = bits[seed] ^ uint8(1)
    bits[seed] = other
    bits[n_sites] = other
    queue[0] = seed
    heads = uint64(chance[0]) * uint64(_ONES)
    first, last = uint64(0), uint64(1)
    while first < last:
        site = queue[first]
        first += uint64(1)
        for group in range(0, table.shape[1], 4):
            word, state = next_word(state)
            lanes = word | uint64(_TOPS)
            joins = ~(lanes - heads) & uint64(_TOPS)
            ties = ~((lanes ^ heads) - uint64(_ONES)) & uint64(_TOPS)
            if ties != 0:
                joins, state = _settle_ties(joins, ties, chance[1], state)
            joins >>= uint64(15)
            for k in range(4):
                neighbour = table[site, group + k]
                bit = bits[neighbour]
                joined = (bit ^ other) & uint8(joins)
                joins >>= uint64(16)
                queue[last] = neighbour
                bits[neighbour] = bit ^ joined
                last += uint64(joined)
    return int(last), state


@compiled
def _settle_ties(
    joins: np.uint64, ties: np.uint64, tail: int, state: State
) -> tuple[np.uint64, State]:
    for k in range(4):
        mark = uint64(0x8000) << uint64(16 * k)
        if ties & mark:
            word, state = next_word(state)
            if word < tail:
                joins |= mark
    return joins, state
