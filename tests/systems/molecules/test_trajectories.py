import math

import numpy as np
import pytest
import torch

from systems.molecules import SimulationError, TrajectorySet
from systems.molecules.trajectories import (
    check_temperature,
    mean_and_error,
    statistical_inefficiency,
)


def chains(rho, shape, seed=0):
    """Stationary autoregressive chains x' = rho x + noise of unit variance."""
    noise = torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).numpy()
    x = np.empty(shape)
    x[:, 0] = noise[:, 0]
    for i in range(1, shape[1]):
        x[:, i] = rho * x[:, i - 1] + math.sqrt(1 - rho**2) * noise[:, i]
    return x


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_statistical_inefficiency_of_autoregressive_chains(rho):
    exact = (1 + rho) / (1 - rho)
    assert statistical_inefficiency(chains(rho, (4, 20_000))) == pytest.approx(exact, rel=0.15)


def test_a_constant_series_has_no_correlation():
    assert statistical_inefficiency(np.ones((2, 10))) == 1.0


def test_errors_cover_the_truth():
    z = []
    for seed in range(60):
        mean, error = mean_and_error(chains(0.8, (2, 2000), seed))
        z.append(mean / error)
    assert 0.7 < np.std(z) < 1.4


def test_the_spread_of_trajectories_counts():
    stuck = np.repeat(np.arange(6.0)[:, None], 500, axis=1) + chains(0.0, (6, 500))
    assert mean_and_error(stuck)[1] > 0.6


def test_temperature_check():
    check_temperature(603.0, 2.0, 600.0)
    check_temperature(602.9, 0.0, 600.0)
    for measured in (650.0, 550.0, float("nan")):
        with pytest.raises(SimulationError, match=r"expected 600.0 K within"):
            check_temperature(measured, 2.0, 600.0)


def a_set(n_trajectories):
    x = np.zeros((n_trajectories, 5, 2, 3), dtype=np.float32)
    x += np.arange(n_trajectories, dtype=np.float32)[:, None, None, None]
    return TrajectorySet(x, x[..., 0, 0].astype(np.float64), 300.0, 70, 301.0, 1.0)


def test_whole_trajectories_are_held_out():
    train, held_out = a_set(7).split(2)
    assert train.x.shape == (5, 5, 2, 3)
    assert held_out.x.shape == (2, 5, 2, 3)
    assert set(np.unique(train.x)) & set(np.unique(held_out.x)) == set()
    assert (train.n_steps, held_out.n_steps) == (50, 20)
    assert train.frames().shape == (25, 2, 3)
    assert np.array_equal(held_out.potential, a_set(7).potential[5:])


@pytest.mark.parametrize("n_held_out", [0, 3, -1])
def test_neither_side_may_be_empty(n_held_out):
    with pytest.raises(ValueError, match="n_held_out: expected 1 to 2 of 3 trajectories"):
        a_set(3).split(n_held_out)
