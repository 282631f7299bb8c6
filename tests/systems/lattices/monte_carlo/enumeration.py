"""Every configuration of a small lattice, and what is known exactly of it."""

import numpy as np

from systems.lattices.geometry import neighbour_table


def all_spins(n_sites):
    """Spins of all 2^V states, (2^V, V)."""
    return 2 * ((np.arange(2**n_sites)[:, None] >> np.arange(n_sites)) & 1) - 1


def bond_sums(x, shape):
    """B of flat configurations (B, V) from the table of forward neighbours."""
    forward = neighbour_table(shape)[:, : len(shape)]
    return (x[:, :, None] * x[:, forward]).sum((1, 2))


def ising_averages(shape, *, T, J=1.0, h=0.0):
    """Exact means of the columns of `ising_columns`."""
    n_sites = int(np.prod(shape))
    spins = all_spins(n_sites)
    bonds, total = bond_sums(spins, shape), spins.sum(1)
    log_weights = (J * bonds + h * total) / T
    weights = np.exp(log_weights - log_weights.max())
    return weights @ ising_columns(bonds, total, n_sites) / weights.sum()


def ising_columns(bonds, total, n_sites):
    """B / V, |m|, m^2, m^4 and m along a new last axis."""
    m = total / n_sites
    return np.stack([bonds / n_sites, np.abs(m), m**2, m**4, m], -1)
