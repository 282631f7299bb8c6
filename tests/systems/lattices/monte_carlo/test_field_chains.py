"""Chains of trajectories and clusters: exactness, deep wells, pieces, burn-in, records."""

from functools import lru_cache

import numba
import numpy as np
import pytest
import torch

from boltzgen.estimators.gamma_method import gamma_method
from systems.lattices.exact import ScalarAction, scalar_moments
from systems.lattices.monte_carlo import Schedule, cluster_step, field_sums, heat_bath_step
from systems.lattices.monte_carlo.field_chains import (
    FieldChains,
    FieldSweep,
    run_field,
    start_field,
)
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.hamiltonian import Trajectory

SOFT = FieldCouplings(0.96, 0.02, 0.54)
DEEP = FieldCouplings(0.96, 0.02, 0.64)
CLUSTERS = ["wolff", "swendsen-wang"]
FEW = FieldSweep(Trajectory(4))


def started(shape=(4, 4), n_chains=3, seed=0, **options):
    return start_field(shape, n_chains, generator=torch.Generator().manual_seed(seed), **options)


@lru_cache
def quadrature(shape, couplings):
    # the error is about the square of the tolerance
    return scalar_moments(ScalarAction(*couplings), shape, tolerance=1e-4).moments


@pytest.mark.parametrize("sweep", [FEW, *(FieldSweep(Trajectory(4), clusters=c) for c in CLUSTERS)])
@pytest.mark.parametrize(
    ("shape", "couplings"), [((2, 2), (-1.0, 0.6, 0.2)), ((3,), (0.5, 0.3, 0.6))]
)
def test_against_quadrature(shape, couplings, sweep):
    run = run_field(
        started(shape, 32), FieldCouplings(*couplings), Schedule(2500, 200), sweep=sweep
    )
    exact = quadrature(shape, couplings)
    n_sites = np.prod(shape)
    pairs = [
        (run.sums.square / n_sites, exact.mean_square),
        (run.sums.quartic / n_sites, exact.mean_fourth),
        (run.sums.bond, exact.bond_sum),
        (run.sums.first**2, exact.magnetisation_square),
        (np.abs(run.sums.first), exact.magnetisation_absolute),
    ]
    assert max(abs(gamma_method(series).z(value)) for series, value in pairs) < 4


def heat_bath_series(n_chains, n_records):
    """|m| and B in the deep wells by heat bath, with a cluster step each time."""
    start = started((4, 4), n_chains, seed=5)
    x, streams, series = np.abs(start.x) + 2.0, start.streams, []
    names = {"quadratic": DEEP.quadratic, "quartic": DEEP.quartic, "hopping": DEEP.hopping}
    for k in range(n_records + 50):
        step = heat_bath_step(x, streams, n_sweeps=3, **names)
        step = cluster_step(step.x, step.streams, hopping=DEEP.hopping, method="swendsen-wang")
        x, streams = step.x, step.streams
        if k >= 50:
            series.append([np.abs(step.sums.first), step.sums.bond])
    return np.moveaxis(np.array(series), 0, -1).copy()


def test_deep_wells():
    other = [gamma_method(series.T.copy()) for series in heat_bath_series(100, 300).swapaxes(1, 2)]
    for clusters in CLUSTERS:
        sweep = FieldSweep(Trajectory(6), clusters=clusters)
        run = run_field(started((4, 4), 32), DEEP, Schedule(2000, 300), sweep=sweep)
        for series, reference in zip((np.abs(run.sums.first), run.sums.bond), other, strict=True):
            mine = gamma_method(series)
            error = np.hypot(mine.error, reference.error)
            assert abs(mine.value - reference.value) < 4 * error
        assert abs(gamma_method(run.sums.first).z(0.0)) < 4
        assert gamma_method(np.sign(run.sums.first)).tau_int < 2  # both wells all the time


def test_burn_in_finds_the_acceptance_and_freezes_it():
    start = started((8, 8), 8)
    wanted = run_field(start, SOFT, Schedule(400, 400), sweep=FEW)
    assert abs(wanted.acceptance.mean() - 0.8) < 0.04
    other = run_field(start, SOFT, Schedule(400, 400), sweep=FEW, acceptance=0.6)
    assert abs(other.acceptance.mean() - 0.6) < 0.06
    assert (other.chains.step_size > wanted.chains.step_size).all()
    assert len(set(wanted.chains.step_size)) == 8
    again = run_field(wanted.chains, SOFT, Schedule(10), sweep=FEW)
    np.testing.assert_array_equal(again.chains.step_size, wanted.chains.step_size)


@pytest.mark.parametrize("clusters", [None, *CLUSTERS])
def test_pieces_join_to_one_run(clusters):
    sweep = FieldSweep(Trajectory(3), clusters=clusters)
    start = started(n_chains=2)
    kept = start.x.copy(), start.streams.copy(), start.step_size.copy()
    whole = run_field(start, SOFT, Schedule(40, 30), sweep=sweep)
    first = run_field(start, SOFT, Schedule(15, 30), sweep=sweep)
    second = run_field(first.chains, SOFT, Schedule(25), sweep=sweep)
    for name, series in vars(whole.sums).items():
        parts = [getattr(run.sums, name) for run in (first, second)]
        np.testing.assert_array_equal(np.concatenate(parts, 1), series)
    np.testing.assert_array_equal(second.chains.x, whole.chains.x)
    for now, before in zip((start.x, start.streams, start.step_size), kept, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("shape", [(6,), (4, 5), (2, 3, 4)])
def test_records_belong_to_the_stored_fields(shape):
    sweep = FieldSweep(Trajectory(3), n_trajectories=2, clusters="wolff", n_clusters=2)
    schedule = Schedule(24, n_burn_in=5, measure_every=2, store_every=3)
    run = run_field(started(shape, 2), FieldCouplings(1.0, 0.1, 0.2), schedule, sweep=sweep)
    assert run.x.shape == (2, 4, *shape)
    stored = field_sums(run.x.reshape(8, *shape))
    for name, series in vars(run.sums).items():
        assert series.shape == (2, 12)
        np.testing.assert_allclose(series[:, 2::3].ravel(), getattr(stored, name), rtol=1e-11)
    np.testing.assert_array_equal(run.x[:, -1], run.chains.x)
    assert ((run.acceptance > 0) & (run.acceptance <= 1)).all()
    assert (run.flipped >= 2).all()


def test_threads_and_other_chains_do_not_matter():
    start = started(n_chains=5)
    sweep, schedule = FieldSweep(Trajectory(3), clusters="swendsen-wang"), Schedule(20, 20)
    together = run_field(start, SOFT, schedule, sweep=sweep)
    one = FieldChains(start.x[2:3], start.streams[2:3], start.step_size[2:3])
    alone = run_field(one, SOFT, schedule, sweep=sweep)
    np.testing.assert_array_equal(alone.sums.bond[0], together.sums.bond[2])
    n_threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        serial = run_field(start, SOFT, schedule, sweep=sweep)
    finally:
        numba.set_num_threads(n_threads)
    np.testing.assert_array_equal(serial.sums.bond, together.sums.bond)


def test_bad_runs():
    start = started()
    with pytest.raises(ValueError, match="hopping: expected numbers of at least 0 for clusters"):
        run_field(
            start, SOFT._replace(hopping=-0.1), Schedule(1), sweep=FieldSweep(clusters="wolff")
        )
    with pytest.raises(ValueError, match="acceptance: expected"):
        run_field(start, SOFT, Schedule(1), sweep=FEW, acceptance=1.0)
    with pytest.raises(ValueError, match="quartic: expected"):
        run_field(start, SOFT._replace(quartic=-0.1), Schedule(1), sweep=FEW)
    with pytest.raises(ValueError, match="clusters: expected"):
        FieldSweep(clusters="all")
    with pytest.raises(ValueError, match="n_clusters: expected 1 unless wolff"):
        FieldSweep(clusters="swendsen-wang", n_clusters=2)
    with pytest.raises(ValueError, match="n_trajectories: expected"):
        FieldSweep(n_trajectories=0)
    with pytest.raises(ValueError, match="step_size: expected"):
        FieldChains(start.x, start.streams, np.zeros(3))
    with pytest.raises(ValueError, match="x: expected finite"):
        FieldChains(start.x * np.nan, start.streams, start.step_size)
    with pytest.raises(ValueError, match="step_size: expected"):
        started(step_size=-1.0)
