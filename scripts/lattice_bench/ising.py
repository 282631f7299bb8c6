"""The Ising model at its critical temperature, one chain: mcising and peapods.

mcising is timed without measurements, since it would measure more than we do. peapods makes a
Metropolis sweep before each step of clusters and measures energy and magnetisation after every
sweep; so do we, the Metropolis sweeps of a call before its clusters.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from torch import Generator

from lattice_bench.contest import Contest, Sampler
from systems.lattices.exact import critical_temperature, torus_averages
from systems.lattices.monte_carlo import (
    IsingChains,
    Metropolis,
    Schedule,
    SwendsenWang,
    Update,
    Wolff,
    run_ising,
    start_ising,
)

N_CHECKED = 32
"""Chains of the comparison of means."""
_SITES_A_CALL = 2**19
_SITES_A_CHECK = 2**22
_N_FIRST = 400
_UPDATES: dict[str, Update] = {
    "metropolis": Metropolis(),
    "wolff": Wolff(),
    "swendsen-wang": SwendsenWang(),
}
_T = critical_temperature()


class _Model(Protocol):
    """What peapods.Ising is taken for."""

    def sample(
        self,
        n_sweeps: int,
        *,
        cluster_update_interval: int | None,
        cluster_mode: str,
        warmup_ratio: float,
        sequential: bool,
    ) -> object:
        """Make sweeps and measure."""


def mcising_contests(L: int) -> Iterator[Contest]:
    """Metropolis, Wolff and Swendsen-Wang, updates only.

    Raises:
        ImportError: mcising is not there.
    """
    from mcising import IsingSimulation

    n, n_check = _n_updates(L), _n_checked(L)

    for name, update in _UPDATES.items():
        algorithm = name.replace("-", "_")
        peer = IsingSimulation(L, 1.0, 0.0, 0.0, 0.0, 1, algorithm)
        peer.set_spins(_in_equilibrium(L, 1, seed=11).spins[0])

        def run(peer: IsingSimulation = peer) -> None:
            peer.sweep(n, temperature=_T)

        def means(algorithm: str = algorithm) -> np.ndarray:
            found = []
            seeds = np.random.default_rng(15).integers(2**62, size=N_CHECKED)
            for seed, spins in zip(
                seeds, _in_equilibrium(L, N_CHECKED, seed=12).spins, strict=True
            ):
                chain = IsingSimulation(L, 1.0, 0.0, 0.0, 0.0, int(seed), algorithm)
                chain.set_spins(spins)
                measured = chain.production_sweeps(n_check, 1, temperature=_T, store_configs=False)
                found.append(np.mean(measured["energies"]))
            return np.array(found)

        yield Contest(
            task=name, L=L, peer="mcising", observable="energy a site", exact=_exact(L),
            unit="a sweep, or a cluster of Wolff", measured="nothing",
            ours=Sampler(_runner(L, [(update, n)]), n, _means(L, [update])),
            theirs=Sampler(run, n, means),
        )  # fmt: skip


def peapods_contests(L: int) -> Iterator[Contest]:
    """Metropolis alone and before each step of clusters, measured after every sweep.

    Raises:
        ImportError: peapods is not there.
    """
    from peapods import Ising

    n, n_check = _n_updates(L), _n_checked(L)

    def start(n_chains: int, seed: int) -> Ising:
        model = Ising((L, L), temperatures=np.full(n_chains, _T))
        model._sim.reset(seed=seed)  # there is no public way
        _sample(model, _N_FIRST, "swendsen-wang")
        return model

    for clusters in (None, "wolff", "swendsen-wang"):
        timed = start(1, 1)

        def run(model: Ising = timed, clusters: str | None = clusters) -> None:
            _sample(model, n, clusters)

        def means(clusters: str | None = clusters) -> np.ndarray:
            checked = start(N_CHECKED, 2)
            _sample(checked, n_check, clusters)
            return -np.asarray(checked.energies_avg, dtype=np.float64)  # its sign is the other one

        if clusters is None:
            steps, names = [(_UPDATES["metropolis"], 1)], ["metropolis"]
        else:
            steps = [(_UPDATES["metropolis"], n), (_UPDATES[clusters], 1)]
            names = ["metropolis", clusters]
        yield Contest(
            task=" + ".join(names), L=L, peer="peapods", observable="energy a site",
            exact=_exact(L), unit="a sweep and a cluster step",
            measured="energy and magnetisation after each",
            ours=Sampler(_runner(L, steps), n, _means(L, [_UPDATES[name] for name in names])),
            theirs=Sampler(run, n, means),
        )  # fmt: skip


def _sample(model: _Model, n_sweeps: int, clusters: str | None) -> None:
    """Sweeps of peapods, each with a step of clusters where wanted, on one thread."""
    model.sample(
        n_sweeps, cluster_update_interval=None if clusters is None else 1,
        cluster_mode="wolff" if clusters == "wolff" else "sw", warmup_ratio=0.0, sequential=True,
    )  # fmt: skip


def _runner(L: int, steps: list[tuple[Update, int]]) -> Callable[[], None]:
    """Updates of each kind, with a measurement after every so many."""
    n, chains = _n_updates(L), _in_equilibrium(L, 1, seed=13)

    def run() -> None:
        nonlocal chains
        for update, every in steps:
            chains = run_ising(chains, update, Schedule(n, measure_every=every), T=_T).chains

    return run


def _means(L: int, updates: list[Update]) -> Callable[[], np.ndarray]:
    """Energies a site of chains, of the last kind of update."""

    def means() -> np.ndarray:
        chains = _in_equilibrium(L, N_CHECKED, seed=14)
        for update in updates:
            run = run_ising(chains, update, Schedule(_n_checked(L)), T=_T)
            chains = run.chains
        return -run.bond_sum.mean(1) / L**2

    return means


def _in_equilibrium(L: int, n_chains: int, *, seed: int) -> IsingChains:
    start = start_ising((L, L), n_chains, generator=Generator().manual_seed(seed))
    return run_ising(start, SwendsenWang(), Schedule(_N_FIRST), T=_T).chains


def _n_updates(L: int) -> int:
    return max(40, _SITES_A_CALL // L**2)


def _n_checked(L: int) -> int:
    return min(4096, max(1000, _SITES_A_CHECK // L**2))


def _exact(L: int) -> float:
    return torus_averages((L, L), _T).energy / L**2
