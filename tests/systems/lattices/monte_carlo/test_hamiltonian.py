"""Hamiltonian steps: the integrator, the test, exact averages of small and free lattices."""

import math
from functools import lru_cache

import numba
import numpy as np
import pytest
import torch

from boltzgen.estimators.gamma_method import gamma_method
from systems.lattices.exact import FreeField, ScalarAction, scalar_moments
from systems.lattices.monte_carlo import FieldSums, field_sums, make_streams
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.hamiltonian import Trajectory, follow, hamiltonian_step

WELLS = (-0.6, 0.4, 0.35)
INTEGRATORS = ["omelyan", "leapfrog"]


def streams_of(n_chains, seed=0):
    return make_streams(n_chains, generator=torch.Generator().manual_seed(seed))


def fields(n_chains, shape, seed=0):
    return np.random.default_rng(seed).normal(size=(n_chains, *shape))


def energy(x, p, couplings):
    a, b, t = couplings
    sums = field_sums(x)
    kinetic = 0.5 * (p**2).reshape(len(p), -1).sum(1)
    return kinetic + a * sums.square + b * sums.quartic - t * sums.bond


def chains(shape, couplings, *, step_size, trajectory, n_chains=32, n_records=2500):
    """Sums of chains in equilibrium, and their last step."""
    options = {"step_size": step_size, "trajectory": trajectory}
    couplings = FieldCouplings(*couplings)
    x, streams = fields(n_chains, shape), streams_of(n_chains)
    start = hamiltonian_step(x, streams, couplings, n_trajectories=100, **options)
    return hamiltonian_step(start.x, start.streams, couplings, n_trajectories=n_records, **options)


@lru_cache
def quadrature(shape, couplings):
    # the error is about the square of the tolerance
    return vars(scalar_moments(ScalarAction(*couplings), shape, tolerance=1e-4).moments)


def largest_z(sums: FieldSums, exact, n_sites):
    pairs = [
        (sums.square / n_sites, exact["mean_square"]),
        (sums.quartic / n_sites, exact["mean_fourth"]),
        (sums.bond, exact["bond_sum"]),
        (sums.first**2, exact["magnetisation_square"]),
        (np.abs(sums.first), exact["magnetisation_absolute"]),
    ]
    return max(abs(gamma_method(series).z(value)) for series, value in pairs)


@pytest.mark.parametrize(
    ("shape", "couplings", "step_size", "trajectory"),
    [
        ((2, 2), (0.5, 0.3, 0.6), 0.6, Trajectory(4)),
        ((2, 2), (-1.0, 0.6, 0.2), 0.4, Trajectory(6, "leapfrog")),
        ((3,), WELLS, 0.9, Trajectory(1)),
        ((2,), (-1.0, 0.5, -0.4), 0.45, Trajectory(5)),
        ((4,), (-0.5, 0.5, -0.3), 0.5, Trajectory(4)),
    ],
)
def test_against_quadrature(shape, couplings, step_size, trajectory):
    step = chains(shape, couplings, step_size=step_size, trajectory=trajectory)
    exact = quadrature(shape, couplings)
    assert 0.5 < step.acceptance.mean() < 0.99
    assert largest_z(step.sums, exact, math.prod(shape)) < 4


@pytest.mark.parametrize(
    ("shape", "hopping"), [((8, 8), 0.47), ((8, 8), -0.3), ((9,), 0.8), ((2, 3, 4), 0.3)]
)
def test_against_the_free_field(shape, hopping):
    free = FreeField(ScalarAction(1.0, 0.0, hopping), shape)
    exact = {
        name: getattr(free, name)()
        for name in (
            "mean_square",
            "mean_fourth",
            "bond_sum",
            "magnetisation_square",
            "magnetisation_absolute",
        )
    }
    step = chains(shape, (1.0, 0.0, hopping), step_size=0.8, trajectory=Trajectory(6))
    assert largest_z(step.sums, exact, math.prod(shape)) < 4


def test_sites_without_hopping_are_independent():
    step = chains((3, 4), (-0.5, 0.4, 0.0), step_size=0.5, trajectory=Trajectory(4))
    x = np.linspace(-5, 5, 2001)
    p = np.exp(0.5 * x**2 - 0.4 * x**4)
    square, quartic = (p @ x**2) / p.sum(), (p @ x**4) / p.sum()
    assert abs(gamma_method(step.sums.square).z(12 * square)) < 4
    assert abs(gamma_method(step.sums.quartic).z(12 * quartic)) < 4
    assert abs(gamma_method(step.sums.bond).z(0.0)) < 4
    assert abs(gamma_method(step.sums.first**2).z(12 * square)) < 4


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_exp_of_minus_energy_changes_averages_to_one(integrator):
    step = chains((4, 4), WELLS, step_size=0.6, trajectory=Trajectory(4, integrator))
    assert step.energy_change.mean() > 0.05
    assert abs(gamma_method(np.exp(-step.energy_change)).z(1.0)) < 4
    expected = np.minimum(1.0, np.exp(-step.energy_change))
    np.testing.assert_allclose(step.acceptance, expected, rtol=1e-14)


def test_each_chain_has_its_own_couplings_and_step_size():
    a, b, t = np.array([[0.5, -1.0], [0.3, 0.6], [0.6, 0.2]])
    many = [np.repeat(c, 32) for c in (a, b, t)]
    steps = np.repeat([0.6, 0.4], 32)
    step = chains((2, 2), many, step_size=steps, trajectory=Trajectory(5), n_chains=64)
    for k, part in enumerate((slice(0, 32), slice(32, 64))):
        exact = quadrature((2, 2), (a[k], b[k], t[k]))
        sums = FieldSums(*(values[part].copy() for values in vars(step.sums).values()))
        assert largest_z(sums, exact, 4) < 4


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("shape", [(5,), (4, 6), (2, 3, 4)])
def test_the_motion_can_be_reversed(shape, integrator):
    x, p = fields(3, shape), fields(3, shape, seed=1)
    options = {"step_size": np.array([0.1, 0.2, 0.3]), "trajectory": Trajectory(20, integrator)}
    there = follow(x, p, FieldCouplings(*WELLS), **options)
    back = follow(there[0], -there[1], FieldCouplings(*WELLS), **options)
    assert np.abs(there[0] - x).max() > 0.5
    np.testing.assert_allclose(back[0], x, atol=1e-10)
    np.testing.assert_allclose(-back[1], p, atol=1e-10)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_the_error_of_the_energy_is_of_second_order(integrator):
    x, p = fields(20, (6, 6)), fields(20, (6, 6), seed=1)
    before, errors = energy(x, p, WELLS), []
    for n in (40, 80, 160):
        options = {"step_size": 2.0 / n, "trajectory": Trajectory(n, integrator)}
        end = follow(x, p, FieldCouplings(*WELLS), **options)
        errors.append(np.abs(energy(*end, WELLS) - before).mean())
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 4.0, rtol=0.1)


def test_two_leapfrog_steps_by_hand():
    x, p = fields(2, (3, 4)), fields(2, (3, 4), seed=1)
    found = follow(
        x, p, FieldCouplings(*WELLS), step_size=0.4, trajectory=Trajectory(1, "leapfrog")
    )

    def gradient(x):
        a, b, t = WELLS
        near = sum(np.roll(x, s, axis) for axis in (1, 2) for s in (-1, 1))
        return 2 * a * x + 4 * b * x**3 - t * near

    for _ in range(2):
        p = p - 0.1 * gradient(x)
        x = x + 0.2 * p
        p = p - 0.1 * gradient(x)
    np.testing.assert_allclose(found[0], x, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found[1], p, rtol=1e-12, atol=1e-13)


def test_small_steps_are_always_accepted_and_move():
    x, streams = fields(4, (4, 4)), streams_of(4)
    options = {"step_size": 1e-4, "trajectory": Trajectory(10), "n_trajectories": 50}
    step = hamiltonian_step(x, streams, FieldCouplings(*WELLS), **options)
    assert step.acceptance.min() > 1 - 1e-6
    assert (np.diff(step.sums.square) != 0).all()


def test_what_is_not_finite_is_rejected():
    x, streams = fields(4, (4, 4)), streams_of(4)
    options = {"step_size": 1e3, "trajectory": Trajectory(30), "n_trajectories": 5}
    step = hamiltonian_step(x, streams, FieldCouplings(*WELLS), **options)
    assert not np.isfinite(step.energy_change).any()
    assert (step.acceptance == 0).all()
    np.testing.assert_array_equal(step.x, x)


def test_sums_are_those_of_the_fields_and_arguments_stay():
    x, streams = fields(3, (3, 5)), streams_of(3)
    kept = x.copy(), streams.copy()
    options = {"step_size": 0.3, "trajectory": Trajectory(5)}
    step = hamiltonian_step(x, streams, FieldCouplings(*WELLS), n_trajectories=7, **options)
    for name, values in vars(field_sums(step.x)).items():
        np.testing.assert_allclose(getattr(step.sums, name)[:, -1], values, rtol=1e-12)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(streams, kept[1])
    for _ in range(7):
        single = hamiltonian_step(x, streams, FieldCouplings(*WELLS), **options)
        x, streams = single.x, single.streams
    np.testing.assert_array_equal(step.x, x)
    np.testing.assert_array_equal(step.streams, streams)


def test_results_depend_neither_on_threads_nor_on_other_chains():
    x, streams = fields(5, (4, 6)), streams_of(5)
    options = {"step_size": 0.3, "trajectory": Trajectory(5), "n_trajectories": 20}
    together = hamiltonian_step(x, streams, FieldCouplings(*WELLS), **options)
    alone = hamiltonian_step(x[2:3], streams[2:3], FieldCouplings(*WELLS), **options)
    np.testing.assert_array_equal(alone.x[0], together.x[2])
    n_threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        serial = hamiltonian_step(x, streams, FieldCouplings(*WELLS), **options)
    finally:
        numba.set_num_threads(n_threads)
    np.testing.assert_array_equal(serial.x, together.x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0.0}, "step_size: expected numbers above 0"),
        ({"step_size": np.nan}, "step_size: expected finite"),
        ({"n_trajectories": 0}, "n_trajectories: expected"),
        ({"x": np.ones((2, 4, 4), dtype=np.float32)}, "x: expected a float64 array"),
        ({"x": np.ones((3, 4, 4))}, "streams: expected shape"),
        ({"couplings": FieldCouplings(0.5, 0.0, 0.3)}, "quadratic: expected more than 2"),
    ],
)
def test_bad_steps(options, message):
    given = {"x": np.ones((2, 4, 4)), "couplings": FieldCouplings(*WELLS), **options}
    given = {"step_size": 0.1, "trajectory": Trajectory(), "streams": streams_of(2), **given}
    with pytest.raises(ValueError, match=message):
        hamiltonian_step(**given)


def test_bad_motions():
    with pytest.raises(ValueError, match="n_steps: expected"):
        Trajectory(0)
    with pytest.raises(ValueError, match="integrator: expected"):
        Trajectory(3, "euler")
    options = {"step_size": 0.1, "trajectory": Trajectory()}
    with pytest.raises(ValueError, match="p: expected the shape"):
        follow(fields(2, (4,)), fields(2, (5,)), FieldCouplings(*WELLS), **options)
    with pytest.raises(ValueError, match="p: expected finite"):
        follow(fields(2, (4,)), np.full((2, 4), np.inf), FieldCouplings(*WELLS), **options)
