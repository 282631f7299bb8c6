"""Swendsen and Wang's and Wolff's clusters, one step at a time."""

import numpy as np
import pytest
import torch

from systems.lattices.geometry import neighbour_table
from systems.lattices.monte_carlo import (
    IsingChains,
    Schedule,
    SwendsenWang,
    Wolff,
    make_streams,
    run_ising,
)
from systems.lattices.monte_carlo.wolff import make_neighbourhood

N = 40_000


def identical_chains(spins, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tiled = np.tile(np.array(spins, dtype=np.int8), (N, *[1] * np.ndim(spins)))
    return IsingChains(tiled, make_streams(N, generator=generator))


def close(values, p):
    return abs(values.mean() - p) < 4 * np.sqrt(p * (1 - p) / values.size)


@pytest.mark.parametrize(("shape", "width"), [((4,), 4), ((3, 3), 4), ((2, 3, 2), 8)])
def test_table_is_filled_up_to_groups_of_four(shape, width):
    near = make_neighbourhood(neighbour_table(shape), shape)
    n_sites = int(np.prod(shape))
    assert near.table.shape == (n_sites, width)
    np.testing.assert_array_equal(near.table[:, : 2 * len(shape)], neighbour_table(shape))
    assert (near.table[:, 2 * len(shape) :] == n_sites).all()


@pytest.mark.parametrize("T", [0.7, 2.0, 30.0])
def test_a_pair_joins_through_both_of_its_bonds(T):
    run = run_ising(identical_chains([1, 1]), Wolff(), Schedule(1), T=T)
    assert close(run.mean_cluster_size[:, 0] == 2, 1 - np.exp(-4 / T))
    seeds = run.chains.spins[run.mean_cluster_size[:, 0] == 1]
    assert close(seeds[:, 0] == -1, 0.5)


def test_a_cluster_on_a_ring_of_three():
    # Bonds of probability p: all three join if at least two of the bonds are active.
    p = 1 - np.exp(-1.0)
    run = run_ising(identical_chains([1, 1, 1]), Wolff(), Schedule(1), T=2.0)
    assert close(run.mean_cluster_size[:, 0] == 3, p**3 + 3 * p**2 * (1 - p))
    assert close(run.mean_cluster_size[:, 0] == 1, (1 - p) ** 2)


def test_unlike_neighbours_never_join():
    spins = [[1, -1, 1, -1], [-1, 1, -1, 1]]
    run = run_ising(identical_chains(spins), Wolff(), Schedule(1), T=0.1)
    assert (run.mean_cluster_size == 1).all()


def test_mean_size_leaves_the_burn_in_out():
    start = identical_chains(np.ones((4, 4)))
    start = IsingChains(start.spins[:5], start.streams[:5])
    whole = run_ising(start, Wolff(2), Schedule(7, n_burn_in=3, measure_every=2), T=3.0)
    burnt = run_ising(start, Wolff(2), Schedule(3), T=3.0)
    each = run_ising(burnt.chains, Wolff(2), Schedule(7), T=3.0)
    expected = each.mean_cluster_size[:, :6].reshape(5, 3, 2).mean(2)
    np.testing.assert_allclose(whole.mean_cluster_size, expected)


@pytest.mark.parametrize(("J", "spins"), [(1.0, [1, 1]), (-1.0, [1, -1])])
def test_a_satisfied_pair_flips_together(J, spins):
    run = run_ising(identical_chains(spins), SwendsenWang(), Schedule(1), T=2.0, J=J)
    p = 1 - np.exp(-2.0)
    unchanged = run.bond_sum[:, 0] == 2 * J
    assert close(unchanged, p + (1 - p) / 2)
    assert close(run.chains.spins[:, 0] == 1, 0.5)


def test_a_field_decides_about_whole_clusters():
    run = run_ising(identical_chains([-1, -1]), SwendsenWang(), Schedule(1), T=2.0, h=0.6)
    bound = 1 - np.exp(-2.0)
    up = 1 / (1 + np.exp(-0.6))
    both_up = bound / (1 + np.exp(-1.2)) + (1 - bound) * up**2
    assert close(run.spin_sum[:, 0] == 2, both_up)


def test_very_strong_fields_and_couplings_stay_finite():
    start = identical_chains(-np.ones((4, 4)))
    run = run_ising(start, SwendsenWang(), Schedule(1), T=1e-3, h=1.0)
    assert (run.spin_sum == 16).all()
    run = run_ising(start, Wolff(), Schedule(1), T=1e-3)
    assert (run.mean_cluster_size == 16).all()
