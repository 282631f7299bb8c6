"""Swendsen-Wang updates of the Ising model, spins as bits.

With a field every cluster is flipped with its conditional probability, 1 / (1 + exp(2 h m / T)) for
a cluster whose spins sum to m: the ghost spin of a field summed over instead of drawn.

References:
    Swendsen & Wang, Phys. Rev. Lett. 58 (1987) 86.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange, uint8

from systems.lattices.monte_carlo.bit_sums import bond_sum, spin_sum, to_bits, to_spins
from systems.lattices.monte_carlo.compiled import compiled, compiled_over_chains
from systems.lattices.monte_carlo.labelling import (
    label_clusters,
    point_to_roots,
    spread_from_roots,
)
from systems.lattices.monte_carlo.schedule import Plan, Records, record_index, stored_index
from systems.lattices.monte_carlo.streams import bytes_block, draw_word, fill_block, to_unit


class BondChances(NamedTuple):
    """What the clusters of a chain depend on.

    Args:
        heads: First 8 bits of the probability of a satisfied bond, int64 (n_chains,).
        tails: Its further 64 bits, uint64 (n_chains,).
        fields: h / T, float64 (n_chains,).
        unlike: 1 where bonds are satisfied by unlike spins (J < 0), else 0, uint8 (n_chains,).
    """

    heads: np.ndarray
    tails: np.ndarray
    fields: np.ndarray
    unlike: np.ndarray


@compiled_over_chains
def run_swendsen_wang(
    spins: np.ndarray,
    streams: np.ndarray,
    chances: BondChances,
    lengths: np.ndarray,
    plan: Plan,
    records: Records,
) -> None:
    """Advance all chains; spins int8 (n_chains, V) and streams are changed in place."""
    for c in prange(spins.shape[0]):
        chain = (chances.heads[c], chances.tails[c], chances.fields[c], chances.unlike[c])
        out = Records(
            records.bond_sum[c], records.spin_sum[c], records.flipped[c], records.spins[c]
        )
        _run_chain(spins[c], streams[c], chain, lengths, plan, out)


@compiled
def _run_chain(
    spins: np.ndarray,
    stream: np.ndarray,
    chain: tuple[int, int, float, int],
    lengths: np.ndarray,
    plan: Plan,
    records: Records,
) -> None:
    head, tail, field, unlike = chain
    bits = np.empty(spins.size, np.uint8)
    bonds = np.empty((lengths.size, spins.size), np.uint8)
    parents = np.empty(spins.size, np.int32)
    block = bytes_block(spins.size)
    random = block.reshape(-1).view(np.uint8)
    ties = np.zeros((spins.size + 7) // 8 * 8, np.uint8)
    to_bits(spins, bits)
    for n_done in range(1, plan.n_burn_in + plan.n_sweeps + 1):
        for axis in range(lengths.size):
            _compare(bits, lengths, axis, unlike, bonds[axis])
            fill_block(stream, block)
            _draw_bonds(bonds[axis], random, (head, tail), ties, stream)
        label_clusters(bonds, lengths, parents)
        fill_block(stream, block)
        if field != 0.0:
            _choose_in_field(bits, parents, field, random, stream)
        spread_from_roots(parents, random[: bits.size])
        for i in range(bits.size):
            bits[i] ^= random[i] & uint8(1)
        record = record_index(plan, n_done)
        if record >= 0:
            records.bond_sum[record] = bond_sum(bits, lengths)
            records.spin_sum[record] = spin_sum(bits)
            stored = stored_index(plan, record)
            if stored >= 0:
                to_spins(bits, records.spins[stored])
    to_spins(bits, spins)


@compiled
def _compare(
    bits: np.ndarray, lengths: np.ndarray, axis: int, unlike: int, satisfied: np.ndarray
) -> None:
    block = 1
    for later in range(axis + 1, lengths.size):
        block *= lengths[later]
    span = block * lengths[axis]
    flip = uint8(1) ^ unlike
    if block == 1:
        for i in range(bits.size - 1):
            satisfied[i] = bits[i] ^ bits[i + 1] ^ flip
        for last in range(span - 1, bits.size, span):
            satisfied[last] = bits[last] ^ bits[last + 1 - span] ^ flip
        return
    for start in range(0, bits.size, span):
        stop = start + span
        _compare_pairs(
            bits[start : stop - block],
            bits[start + block : stop],
            flip,
            satisfied[start : stop - block],
        )
        _compare_pairs(
            bits[stop - block : stop],
            bits[start : start + block],
            flip,
            satisfied[stop - block : stop],
        )


@compiled
def _compare_pairs(a: np.ndarray, b: np.ndarray, flip: int, satisfied: np.ndarray) -> None:
    for i in range(a.size):
        satisfied[i] = a[i] ^ b[i] ^ flip


@compiled
def _draw_bonds(
    bonds: np.ndarray,
    random: np.ndarray,
    chance: tuple[int, int],
    ties: np.ndarray,
    stream: np.ndarray,
) -> None:
    head, tail = uint8(chance[0]), chance[1]
    for i in range(bonds.size):
        ties[i] = bonds[i] & uint8(random[i] == head)
        bonds[i] &= uint8(random[i] < head)
    words = ties.view(np.uint64)
    for w in range(words.size):
        if words[w] != 0:
            for i in range(8 * w, 8 * w + 8):
                if ties[i] != 0 and draw_word(stream) < tail:
                    bonds[i] = uint8(1)


@compiled
def _choose_in_field(
    bits: np.ndarray, parents: np.ndarray, field: float, flips: np.ndarray, stream: np.ndarray
) -> None:
    point_to_roots(parents)
    sums = np.zeros(bits.size, np.int64)
    for i in range(bits.size):
        sums[parents[i]] += 2 * np.int64(bits[i]) - 1
    for i in range(bits.size):
        if parents[i] == i:
            chance = 1.0 / (1.0 + math.exp(min(2.0 * field * sums[i], 700.0)))
            flips[i] = uint8(to_unit(draw_word(stream)) < chance)
