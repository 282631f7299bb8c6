"""Clusters of the signs of a scalar field whose action has the term -t sum phi_x phi_{x + mu}.

At fixed |phi| the signs are an Ising model with couplings t |phi_x phi_y|: a bond between
neighbours of one sign is active with probability 1 - exp(-2 t phi_x phi_y), and a cluster may
change its sign as a whole.

References:
    Brower & Tamayo, Phys. Rev. Lett. 62 (1989) 1087.
"""

import math

import numpy as np
from numba import prange, uint8

from systems.lattices.monte_carlo.compiled import compiled, compiled_over_chains
from systems.lattices.monte_carlo.labelling import label_clusters, spread_from_roots
from systems.lattices.monte_carlo.streams import (
    State,
    bytes_block,
    fill_block,
    first_lane,
    keep_first_lane,
    next_word,
    to_below,
    to_unit,
)


@compiled_over_chains
def flip_wolff_clusters(
    x: np.ndarray,
    hopping: np.ndarray,
    streams: np.ndarray,
    table: np.ndarray,
    n_clusters: int,
    flipped: np.ndarray,
) -> None:
    """Flip single clusters of every chain in place.

    Args:
        x: Fields, float64 (n_chains, V).
        hopping: t, at least 0, float64 (n_chains,).
        streams: One for each chain.
        table: Neighbours, uint32 (V, 2 d).
        n_clusters: How many clusters of each chain.
        flipped: Where the number of sites in them goes, int64 (n_chains,).
    """
    for c in prange(x.shape[0]):
        queue = np.empty(x.shape[1], np.uint32)
        state = first_lane(streams[c])
        flipped[c] = 0
        for _ in range(n_clusters):
            size, state = flip_cluster(x[c], 2.0 * hopping[c], table, queue, state)
            flipped[c] += size
        keep_first_lane(streams[c], state)


@compiled
def flip_cluster(
    x: np.ndarray, twice_hopping: float, table: np.ndarray, queue: np.ndarray, state: State
) -> tuple[int, State]:
    """Flip one single cluster of one chain in place; return its size and the stream's state."""
    word, state = next_word(state)
    seed = to_below(word, x.size)
    queue[0] = seed
    x[seed] = -x[seed]
    first, last = 0, 1
    while first < last:
        site = queue[first]
        first += 1
        strength = -twice_hopping * x[site]  # the site is flipped already, its neighbours are not
        for k in range(table.shape[1]):
            neighbour = table[site, k]
            exponent = strength * x[neighbour]
            if exponent > 0.0:
                word, state = next_word(state)
                if to_unit(word) >= math.exp(-exponent):
                    x[neighbour] = -x[neighbour]
                    queue[last] = neighbour
                    last += 1
    return last, state


@compiled_over_chains
def flip_all_clusters(
    x: np.ndarray,
    hopping: np.ndarray,
    streams: np.ndarray,
    table: np.ndarray,
    lengths: np.ndarray,
    flipped: np.ndarray,
) -> None:
    """Flip each cluster of every chain with probability 1/2, in place.

    Args:
        x: Fields, float64 (n_chains, V).
        hopping: t, at least 0, float64 (n_chains,).
        streams: One for each chain.
        table: Neighbours, forward ones first, uint32 (V, 2 d).
        lengths: Lengths of the lattice, int64 (d,).
        flipped: Where the number of flipped sites goes, int64 (n_chains,).
    """
    for c in prange(x.shape[0]):
        flipped[c] = flip_half(x[c], 2.0 * hopping[c], streams[c], table, lengths)


@compiled
def flip_half(
    x: np.ndarray,
    twice_hopping: float,
    stream: np.ndarray,
    table: np.ndarray,
    lengths: np.ndarray,
) -> int:
    """Flip each cluster of one chain with probability 1/2, in place; return the sites flipped."""
    bonds = np.zeros((lengths.size, x.size), np.uint8)
    state = first_lane(stream)
    for axis in range(lengths.size):
        for site in range(x.size):
            exponent = twice_hopping * x[site] * x[table[site, axis]]
            if exponent > 0.0:
                word, state = next_word(state)
                bonds[axis, site] = uint8(to_unit(word) >= math.exp(-exponent))
    keep_first_lane(stream, state)
    parents = np.empty(x.size, np.int32)
    label_clusters(bonds, lengths, parents)
    block = bytes_block(x.size)
    fill_block(stream, block)
    flips = block.reshape(-1).view(np.uint8)[: x.size]
    spread_from_roots(parents, flips)
    n_flipped = 0
    for site in range(x.size):
        if flips[site] & uint8(1):
            x[site] = -x[site]
            n_flipped += 1
    return n_flipped
