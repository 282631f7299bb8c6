"""Chains of the Ising model in two dimensions."""

import numpy as np
from torch import Generator

from dynamics.times import Method, Piece
from systems.lattices.monte_carlo import (
    Metropolis,
    Schedule,
    SwendsenWang,
    Update,
    Wolff,
    run_ising,
    start_ising,
)

_N_FIRST = 200
"""Swendsen-Wang sweeps from the random start, from which single clusters would take long."""


class IsingSeries:
    """Chains on L x L sites at one temperature; all algorithms start from Swendsen-Wang's chains.

    Args:
        L: Length, even.
        n_chains: Number of chains.
        update: The algorithm.
        T: Temperature; Boltzmann's constant and J are 1.
        seed: Of the chains.
    """

    def __init__(self, L: int, *, n_chains: int, update: Update, T: float, seed: int) -> None:
        generator = Generator().manual_seed(seed)
        start = start_ising((L, L), n_chains, generator=generator)
        self._chains = run_ising(start, SwendsenWang(), Schedule(_N_FIRST), T=T).chains
        self._update, self._T, self._n_sites = update, T, L * L

    def advance(self, n_updates: int, every: int) -> Piece:
        """Make sweeps, or single clusters, and record |m| and energy a site."""
        schedule = Schedule(n_updates, measure_every=every)
        run = run_ising(self._chains, self._update, schedule, T=self._T)
        self._chains = run.chains
        series = {
            "|m|": np.abs(run.spin_sum) / self._n_sites,
            "energy": -run.bond_sum / self._n_sites,
        }
        size = run.mean_cluster_size
        return Piece(series, 1.0 if size is None else size / self._n_sites)


def ising_methods(T: float, n_chains: int) -> list[Method]:
    """Metropolis, Swendsen-Wang and Wolff at a temperature.

    The amplitudes are of runs at the critical temperature; costs are in nanoseconds a chain.
    """

    def method(
        update: Update, name: str, guess: tuple[float, float], cost: tuple[float, float], unit: str
    ) -> Method:
        return Method(
            name=name,
            start=lambda L, seed: IsingSeries(L, n_chains=n_chains, update=update, T=T, seed=seed),
            amplitude=guess[0],
            exponent=guess[1],
            cost=lambda L: cost[0] * L ** cost[1],
            unit=unit,
        )

    return [
        method(Metropolis(), "Metropolis", (0.04, 2.1), (10.0, 1.5), "lattice sweeps"),
        method(SwendsenWang(), "Swendsen-Wang", (1.3, 0.3), (20.0, 2.0), "lattice sweeps"),
        method(
            Wolff(), "Wolff", (0.7, 0.5), (20.0, 1.7),
            "lattice sweeps: clusters times mean cluster size / V",
        ),
    ]  # fmt: skip
