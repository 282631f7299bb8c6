"""One site of the heat bath, and one cluster of a scalar field, against their distributions."""

import numpy as np
import pytest
import torch

from systems.lattices.monte_carlo import cluster_step, heat_bath_step, make_streams
from systems.lattices.monte_carlo.field_heat_bath import _precision

N = 40_000


def streams(seed=0):
    return make_streams(N, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.5), (-1.0, 1.0), (-6.0, 2.0), (0.0, 4.0), (2.0, 0.0)])
@pytest.mark.parametrize("neighbour", [0.0, 0.9, -7.0])
def test_first_site_of_a_sweep_has_its_conditional_distribution(a, b, neighbour):
    t = 0.6
    x = np.tile([[0.3, neighbour, 0.0]], (N, 1))  # the first site of three is drawn first
    new = heat_bath_step(x, streams(), quadratic=a, quartic=b, hopping=t).x[:, 0]
    grid = np.linspace(-12, 12, 40_001)
    log_density = -a * grid**2 - b * grid**4 + t * neighbour * grid
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    for power in (1, 2, 3):
        mean = (weights * grid**power).sum()
        error = np.sqrt((weights * grid ** (2 * power)).sum() - mean**2) / np.sqrt(N)
        assert abs((new**power).mean() - mean) < 4 * error
    cumulative = np.interp(np.sort(new), grid, np.cumsum(weights))
    distance = np.abs(cumulative - (np.arange(N) + 0.5) / N).max()
    assert distance * np.sqrt(N) < 2.2  # Kolmogorov and Smirnov: once in 8000 times


@pytest.mark.parametrize("a", [-19.0, -1.0, 0.0, 0.96, 30.0])
@pytest.mark.parametrize("b", [0.02, 1.0, 10.0])
@pytest.mark.parametrize("source", [0.0, 1.0, -50.0])
def test_precision_is_near_the_root_that_accepts_most(a, b, source):
    roots = np.roots([1.0, -a, -b, -0.5 * b * source**2])
    root = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)].real
    assert root.size == 1
    assert _precision(a, b, source) == pytest.approx(root[0], rel=0.05)


@pytest.mark.parametrize("method", ["wolff", "swendsen-wang"])
def test_two_sites_join_with_the_chance_of_both_bonds(method):
    t, values = 0.4, np.array([0.7, 1.2])
    x = np.tile(values, (N, 1))
    step = cluster_step(x, streams(1), hopping=t, method=method)
    together = (step.x[:, 0] > 0) == (step.x[:, 1] > 0)
    joined = 1 - np.exp(-4 * t * values.prod())
    expected = joined if method == "wolff" else joined + (1 - joined) / 2
    error = np.sqrt(expected * (1 - expected) / N)
    assert abs(together.mean() - expected) < 4 * error


def test_no_hopping_and_no_sign_make_single_sites():
    x = np.tile([1.0, 0.0, 2.0, 0.0], (N, 1))
    for hopping in (0.0, 5.0):
        step = cluster_step(x, streams(2), hopping=hopping)
        assert (step.n_flipped == 1).all()
