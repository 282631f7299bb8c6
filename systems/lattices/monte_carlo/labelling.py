"""Clusters of a periodic lattice from its active bonds: runs along rows, then union and find.

Sites form a forest in which a parent's index never exceeds its child's; the root of a cluster is
its smallest site. Runs of bonds along the last axis are labelled without a search, and a bond
between two runs that the bond before it has joined already is passed over.

References:
    Hoshen & Kopelman, Phys. Rev. B 14 (1976) 3438; He et al., IEEE Trans. Image Process. 17 (2008)
    749, for labels by runs.
"""

import numpy as np

from systems.lattices.monte_carlo.compiled import compiled


@compiled
def label_clusters(bonds: np.ndarray, lengths: np.ndarray, parents: np.ndarray) -> None:
    """Make the forest of clusters.

    Args:
        bonds: 1 where the bond from a site to its forward neighbour is active and 0 elsewhere,
            uint8 (d, V).
        lengths: Lengths of the lattice, int64 (d,).
        parents: Where the forest goes, int32 (V,).
    """
    width = lengths[-1]
    in_rows = bonds[-1]
    _label_rows(in_rows, width, parents)
    needed = np.empty(in_rows.size, np.uint8)
    chosen = np.empty(in_rows.size + 1, np.int32)
    block = width
    for axis in range(lengths.size - 2, -1, -1):
        span = block * lengths[axis]
        for start in range(0, in_rows.size, span):
            middle, stop = start + span - block, start + span
            for first, last, step in ((start, middle, block), (middle, stop, block - span)):
                _mark_needed(bonds[axis, first:last], in_rows, first, step, needed)
                for row in range(0, last - first, width):
                    needed[row] = bonds[axis, first + row]
                n_chosen = _choose(needed[: last - first], first, chosen)
                _unite(parents, chosen[:n_chosen], step)
        block = span


@compiled
def _label_rows(bonds: np.ndarray, width: int, parents: np.ndarray) -> None:
    for first in range(0, bonds.size, width):
        root = np.int32(first)
        parents[first] = root
        for i in range(first + 1, first + width):
            root = root if bonds[i - 1] != 0 else np.int32(i)
            parents[i] = root
        if bonds[first + width - 1] != 0:
            parents[root] = first


@compiled
def _mark_needed(
    across: np.ndarray, in_rows: np.ndarray, first: int, step: int, needed: np.ndarray
) -> None:
    # Bonds from site i to i + step; that of i - 1 has done it where both pairs of ends are joined.
    here = in_rows[first : first + across.size]
    there = in_rows[first + step : first + step + across.size]
    for i in range(1, across.size):
        needed[i] = across[i] & ~(across[i - 1] & here[i - 1] & there[i - 1])


@compiled
def _choose(needed: np.ndarray, first: int, chosen: np.ndarray) -> int:
    n = 0
    for i in range(needed.size):
        chosen[n] = first + i
        n += needed[i]
    return n


@compiled
def _unite(parents: np.ndarray, sites: np.ndarray, step: int) -> None:
    for site in sites:
        a = _find(parents, site)
        b = _find(parents, np.int32(site + step))
        parents[max(a, b)] = min(a, b)


@compiled
def _find(parents: np.ndarray, site: int) -> int:
    while parents[site] != site:
        parents[site] = parents[parents[site]]
        site = parents[site]
    return site


@compiled
def spread_from_roots(parents: np.ndarray, values: np.ndarray) -> None:
    """Give every site the value of its cluster's root; parents come before their children."""
    for i in range(parents.size):
        values[i] = values[parents[i]]


@compiled
def point_to_roots(parents: np.ndarray) -> None:
    """Make every site's parent its cluster's root."""
    for i in range(parents.size):
        parents[i] = parents[parents[i]]
