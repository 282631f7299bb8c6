"""Every update against enumeration on small lattices, and against Onsager on a large one."""

import numba
import numpy as np
import pytest
import torch
from scipy.special import ellipk

from boltzgen.estimators.gamma_method import gamma_method
from systems.lattices.monte_carlo import (
    HeatBath,
    IsingChains,
    Metropolis,
    Schedule,
    SwendsenWang,
    Wolff,
    make_streams,
    run_ising,
    start_ising,
)
from tests.systems.lattices.monte_carlo.enumeration import (
    bond_sums,
    ising_averages,
    ising_columns,
)

T_CRITICAL = 2 / np.log(1 + np.sqrt(2))
EVEN = [(2,), (4,), (6,), (2, 2), (4, 2), (2, 4), (4, 4), (2, 2, 2), (4, 2, 2), (2, 2, 4)]
ODD = [(3,), (3, 3), (2, 3), (3, 2), (3, 5), (3, 2, 2), (2, 2, 3)]
FERRO, WITH_FIELD, ANTI = {"J": 1.0}, {"J": 1.0, "h": 0.2}, {"J": -0.8, "h": 0.3}
LOCAL = [Metropolis(), HeatBath()]


def cases():
    for update in LOCAL:
        for couplings in (FERRO, WITH_FIELD, ANTI):
            yield from ((update, shape, couplings) for shape in EVEN)
    for couplings in (FERRO, WITH_FIELD, ANTI):
        yield from ((SwendsenWang(), shape, couplings) for shape in EVEN + ODD)
    yield from ((Wolff(), shape, FERRO) for shape in EVEN + ODD)
    yield Wolff(3), (4, 4), FERRO


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("update", "shape", "couplings"), list(cases()))
def test_exact_averages(update, shape, couplings):
    n_sites, T = int(np.prod(shape)), 1.8 * len(shape)
    start = start_ising(shape, 16, generator=generator(1))
    run = run_ising(start, update, Schedule(3000, n_burn_in=50), T=T, **couplings)
    columns = ising_columns(run.bond_sum, run.spin_sum, n_sites).astype(np.float64)
    exact = ising_averages(shape, T=T, **couplings)
    z = [gamma_method(np.ascontiguousarray(columns[..., k])).z(exact[k]) for k in range(exact.size)]
    assert np.abs(z).max() < 4
    if run.mean_cluster_size is not None:
        assert abs(gamma_method(run.mean_cluster_size / n_sites).z(exact[2])) < 4


@pytest.mark.parametrize("update", [Metropolis(), SwendsenWang(), Wolff()])
def test_each_chain_has_its_own_temperature(update):
    temperatures = np.array([1.0, 1.8, 2.5, 4.0, 100.0])
    start = start_ising((4, 4), 5, generator=generator(2), start="cold")
    run = run_ising(start, update, Schedule(20_000, n_burn_in=100), T=temperatures)
    for c, T in enumerate(temperatures):
        exact = ising_averages((4, 4), T=T)[0]
        assert abs(gamma_method(run.bond_sum[c : c + 1] / 16).z(exact)) < 4


def onsager_bond_sum(T):
    """B / V of the infinite square lattice (Onsager 1944)."""
    K = 1 / T
    k = 2 * np.sinh(2 * K) / np.cosh(2 * K) ** 2
    return (1 + 2 / np.pi * (2 * np.tanh(2 * K) ** 2 - 1) * ellipk(k**2)) / np.tanh(2 * K)


@pytest.mark.parametrize("update", [*LOCAL, SwendsenWang(), Wolff(40)])
def test_a_large_lattice_against_onsager(update):
    shape, T = (128, 130), 3.5  # correlations reach a few sites: the size does not show
    start = start_ising(shape, 2, generator=generator(3))
    run = run_ising(start, update, Schedule(400, n_burn_in=100), T=T)
    assert abs(gamma_method(run.bond_sum / (128 * 130)).z(onsager_bond_sum(T))) < 4
    assert abs(gamma_method(run.spin_sum / (128 * 130)).z(0.0)) < 4


def test_updates_agree_in_three_dimensions():
    found = []
    for update in (*LOCAL, SwendsenWang(), Wolff(2)):
        start = start_ising((4, 6, 8), 4, generator=generator(4))
        run = run_ising(start, update, Schedule(2500, n_burn_in=200), T=5.0)
        found.append([gamma_method(s / 192) for s in (run.bond_sum, np.abs(run.spin_sum))])
    for name in range(2):
        values = np.array([f[name].value for f in found])
        errors = np.array([f[name].error for f in found])
        mean = (values / errors**2).sum() / (1 / errors**2).sum()
        assert np.abs((values - mean) / errors).max() < 4


UPDATES = [Metropolis(), HeatBath(), SwendsenWang(), Wolff(2)]


@pytest.mark.parametrize("update", UPDATES)
def test_pieces_make_the_whole(update):
    start = start_ising((8, 6), 3, generator=generator(5))
    whole = run_ising(start, update, Schedule(30), T=2.5)
    first = run_ising(start, update, Schedule(10), T=2.5)
    second = run_ising(first.chains, update, Schedule(20), T=2.5)
    joined = np.concatenate([first.bond_sum, second.bond_sum], 1)
    np.testing.assert_array_equal(joined, whole.bond_sum)
    np.testing.assert_array_equal(second.chains.spins, whole.chains.spins)
    np.testing.assert_array_equal(second.chains.streams, whole.chains.streams)


@pytest.mark.parametrize("update", UPDATES)
def test_a_chain_is_the_same_alone_and_on_any_number_of_threads(update):
    start = start_ising((8, 6), 4, generator=generator(6))
    together = run_ising(start, update, Schedule(20), T=2.5)
    alone = IsingChains(start.spins[2:3], start.streams[2:3])
    single = run_ising(alone, update, Schedule(20), T=2.5)
    np.testing.assert_array_equal(single.bond_sum[0], together.bond_sum[2])
    n_threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        serial = run_ising(start, update, Schedule(20), T=2.5)
    finally:
        numba.set_num_threads(n_threads)
    np.testing.assert_array_equal(serial.spin_sum, together.spin_sum)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 4, 6)])
def test_records_are_sums_of_the_stored_spins(update, shape):
    start = start_ising(shape, 2, generator=generator(7))
    before = start.spins.copy()
    schedule = Schedule(24, n_burn_in=5, measure_every=2, store_every=3)
    run = run_ising(start, update, schedule, T=3.0)
    assert run.bond_sum.shape == run.spin_sum.shape == (2, 12)
    assert run.spins.shape == (2, 4, *shape)
    flat = run.spins.reshape(8, -1).astype(np.int64)
    np.testing.assert_array_equal(bond_sums(flat, shape), run.bond_sum[:, 2::3].ravel())
    np.testing.assert_array_equal(flat.sum(1), run.spin_sum[:, 2::3].ravel())
    np.testing.assert_array_equal(run.spins[:, -1], run.chains.spins)
    np.testing.assert_array_equal(start.spins, before)


def test_starts():
    cold = start_ising((4, 4), 3, generator=generator(), start="cold")
    assert (cold.spins == 1).all()
    hot = start_ising((64, 64), 2, generator=generator())
    assert abs(hot.spins.sum()) < 4 * np.sqrt(hot.spins.size)
    with pytest.raises(ValueError, match="start: expected 'hot' or 'cold'"):
        start_ising((4, 4), 3, generator=generator(), start="warm")


def test_bad_chains():
    streams = make_streams(1, generator=generator())
    good = np.ones((1, 4, 4), dtype=np.int8)
    for spins, message in (
        (good.astype(np.int64), "spins: expected an int8 array, got int64"),
        (0 * good, "spins: expected -1 or 1"),
        (good[0, 0], "shape: expected"),
        (np.ones((2, 4), dtype=np.int8), "streams: expected shape"),
    ):
        with pytest.raises(ValueError, match=message):
            IsingChains(spins, streams)


@pytest.mark.parametrize(
    ("update", "options", "message"),
    [
        (Metropolis(), {"T": 0.0}, "T: expected finite"),
        (Metropolis(), {"T": np.ones(3)}, "T: expected a number or shape"),
        (Metropolis(), {"T": 1.0, "J": np.inf}, "J: expected a finite"),
        (Metropolis(), {"T": 1.0, "h": np.nan}, "h: expected a finite"),
        (Metropolis(), {"T": 1.0}, "expected even lengths"),
        (HeatBath(), {"T": 1.0}, "expected even lengths"),
        (Wolff(), {"T": 1.0, "h": 0.1}, "h: expected no field"),
        (Wolff(), {"T": 1.0, "J": -1.0}, "J: expected a number above 0"),
        ("metropolis", {"T": 1.0}, "update: expected one of"),
    ],
)
def test_bad_runs(update, options, message):
    start = start_ising((3, 4), 2, generator=generator())
    with pytest.raises(ValueError, match=message):
        run_ising(start, update, Schedule(1), **options)


@pytest.mark.parametrize("n_clusters", [0, 1.5])
def test_bad_number_of_clusters(n_clusters):
    with pytest.raises(ValueError, match="n_clusters: expected"):
        Wolff(n_clusters)
