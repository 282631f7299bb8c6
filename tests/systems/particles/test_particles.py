"""Clusters: energies by hand, symmetries, exact answers for two particles."""

import math

import numpy as np
import pytest
import torch

from systems.particles import DoubleWellCluster, HarmonicCluster, LennardJonesCluster

F64 = torch.float64


def square_of(side):
    """Four particles at the corners of a square."""
    corners = [[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]]
    return torch.tensor([corners], dtype=F64)


def test_pairs_of_dw4_count_once():
    side = 3.0
    away = np.array([side - 4] * 4 + [side * math.sqrt(2) - 4] * 2)
    expected = (-4 * away**2 + 0.9 * away**4).sum()
    assert DoubleWellCluster().potential(square_of(side)).item() == pytest.approx(expected)


def test_pairs_of_a_lennard_jones_cluster_count_once():
    x = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [0.5, math.sqrt(3) / 2, 0]]], dtype=F64)
    bare = LennardJonesCluster(3, oscillator=0.0, epsilon=1.3)
    assert bare.potential(x).item() == pytest.approx(-3 * 1.3)
    held = LennardJonesCluster(3, oscillator=2.0, epsilon=1.3)
    assert held.potential(x).item() == pytest.approx(-3 * 1.3 + 3 * (1 / 3))  # |x_i|^2 = 1 / 3


@pytest.mark.parametrize("target", [DoubleWellCluster(), LennardJonesCluster(5)])
def test_energies_know_no_place_orientation_and_order(target, generator):
    n, dims = target.event_shape
    x = 2 * torch.randn(6, n, dims, generator=generator, dtype=F64)
    turn = torch.linalg.qr(torch.randn(dims, dims, generator=generator, dtype=F64)).Q
    moved = (x @ turn + 7.0)[:, torch.randperm(n, generator=generator)]
    torch.testing.assert_close(target.energy(moved, 0.7), target.energy(x, 0.7), rtol=1e-9, atol=0)


def test_what_overlaps_is_forbidden_and_no_nan():
    x = torch.zeros(1, 3, 3, dtype=F64)
    assert LennardJonesCluster(3).energy(x, 1.0).item() == math.inf
    assert DoubleWellCluster(3, 3).energy(x, 1.0).isfinite().all()
    near = torch.tensor([[[0.0], [1e-30]]], dtype=torch.float32)
    assert LennardJonesCluster(2, 1).energy(near, 1.0).item() == math.inf


def test_forces_are_finite_for_coinciding_double_wells():
    x = torch.zeros(1, 4, 2, dtype=F64, requires_grad=True)
    (force,) = torch.autograd.grad(DoubleWellCluster().energy(x, 1.0).sum(), x)
    assert force.isfinite().all()


def test_two_particles_in_an_oscillator_have_the_closed_form():
    for n_dims in (1, 2, 3):
        target = HarmonicCluster(2, n_dims, oscillator=1.7)
        log_z, mean = target.two_particle_moments(0.6)
        assert log_z == pytest.approx(target.log_partition(0.6), abs=1e-9)
        assert mean == pytest.approx(0.5 * n_dims * 0.6, abs=1e-9)


@pytest.mark.parametrize("target", [DoubleWellCluster(2, 2), LennardJonesCluster(2, 3)])
@pytest.mark.parametrize("T", [0.3, 1.0])
def test_two_particles_agree_with_importance_sampling(target, T, generator):
    """y of |y|^(1 - n) times a flat radius: log w = -U / T + (n - 1) log |y| + log(area R)."""
    reach, n, dims = 8.0, 400_000, target.n_dims
    radius = reach * torch.rand(n, generator=generator, dtype=F64)
    x = torch.zeros(n, 2, dims, dtype=F64)
    x[:, 0, 0], x[:, 1, 0] = radius / math.sqrt(2), -radius / math.sqrt(2)
    area = 2 * math.pi ** (dims / 2) / math.gamma(dims / 2)
    w = (-target.energy(x, T)).exp() * radius ** (dims - 1) * area * reach
    log_z, mean = target.two_particle_moments(T)
    error = float(w.std() / w.mean()) / math.sqrt(n)
    assert math.log(w.mean()) == pytest.approx(log_z, abs=4 * error)
    potential = torch.where(w > 0, target.potential(x), 0.0)
    share = w / w.sum()
    found = (share * potential).sum()
    error = (share * (potential - found)).square().sum().sqrt()
    assert abs(found - mean) < 4 * error


def test_the_slope_of_log_z_is_the_mean_energy():
    target, T, h = LennardJonesCluster(2), 0.8, 1e-3
    up, down = (target.two_particle_moments(T + s * h)[0] for s in (1, -1))
    assert (up - down) / (2 * h) == pytest.approx(
        target.two_particle_moments(T)[1] / T**2, rel=1e-5
    )


def test_exact_draws_of_the_oscillator_have_its_moments(generator):
    target = HarmonicCluster(5, 3, oscillator=2.0)
    x = target.sample_exact(1.5, 20_000, generator=generator)
    assert x.mean(1).abs().max() < 1e-12
    potential = target.potential(x)
    expected = 0.5 * target.n_free * 1.5
    assert abs(potential.mean() - expected) < 4 * potential.std() / math.sqrt(len(x))


def test_distances_are_those_of_all_pairs():
    found = LennardJonesCluster(4, 2).distances(square_of(2.0))[0].sort().values
    assert found.tolist() == pytest.approx([2.0] * 4 + [2 * math.sqrt(2)] * 2)


def test_forces_of_overlapping_atoms_are_no_nan():
    x = torch.zeros(1, 3, 3, dtype=F64, requires_grad=True)
    (force,) = torch.autograd.grad(LennardJonesCluster(3).energy(x, 1.0).sum(), x)
    assert force.isfinite().all()


def test_what_nothing_holds_together_has_no_partition_function():
    with pytest.raises(ValueError, match="reach beyond 1000"):
        LennardJonesCluster(2, oscillator=0.0).two_particle_moments(1.0)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="n_particles: expected a whole number of at least 2"):
        LennardJonesCluster(1)
    with pytest.raises(ValueError, match="oscillator: expected"):
        LennardJonesCluster(3, oscillator=-1.0)
    with pytest.raises(ValueError, match="epsilon"):
        LennardJonesCluster(3, epsilon=0.0)
    with pytest.raises(ValueError, match="expected 2 for an exact answer, got 13"):
        LennardJonesCluster().two_particle_moments(1.0)
