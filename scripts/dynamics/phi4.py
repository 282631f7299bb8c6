"""Chains of the scalar field phi^4 in two dimensions, in the hopping form.

Times are in lattice passes, which do not depend on the machine: a gradient of the action on all
sites is one, so is a heat-bath sweep, and a cluster is its size over V. Fourier transforms are
not counted.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Generator

from boltzgen.kernels import HMC, FourierScale, tune
from dynamics.times import Chains, Method, Piece
from systems.lattices import HoppingPhi4
from systems.lattices.geometry import bond_cosines
from systems.lattices.monte_carlo import (
    FieldCouplings,
    FieldSums,
    FieldSweep,
    Schedule,
    Trajectory,
    field_sums,
    heat_bath_step,
    run_field,
    start_field,
)

_N_TUNING = 300
_N_STEPS = 10
_TRAJECTORY_PASSES = 2.0 * _N_STEPS + 1.0
_UNIT = "lattice passes: gradients or sweeps of all sites, clusters times size / V"


def hopping_couplings(kappa: float, quartic: float) -> FieldCouplings:
    """The coefficients a = 1 - 2 lambda, b = lambda and t = 2 kappa."""
    return FieldCouplings(np.array(1 - 2 * quartic), np.array(quartic), np.array(2 * kappa))


class TrajectorySeries:
    """Hamiltonian trajectories of ten steps in the mean, with clusters or without.

    Args:
        L: Length.
        n_chains: Number of chains.
        couplings: Of the action.
        seed: Of the chains.
        clusters: Whether a single cluster follows each trajectory.
    """

    def __init__(
        self, L: int, *, n_chains: int, couplings: FieldCouplings, seed: int, clusters: bool
    ) -> None:
        self._couplings = couplings
        self._sweep = FieldSweep(Trajectory(_N_STEPS), clusters="wolff" if clusters else None)
        chains = start_field((L, L), n_chains, generator=Generator().manual_seed(seed))
        schedule = Schedule(1, n_burn_in=_N_TUNING)
        self._chains = run_field(chains, couplings, schedule, sweep=self._sweep).chains

    def advance(self, n_updates: int, every: int) -> Piece:
        """Make trajectories at the step sizes found at the start."""
        schedule = Schedule(n_updates, measure_every=every)
        run = run_field(self._chains, self._couplings, schedule, sweep=self._sweep)
        self._chains = run.chains
        n_sites = run.chains.x[0].size
        passes: np.ndarray | float = _TRAJECTORY_PASSES
        if self._sweep.clusters is not None:
            passes = passes + run.flipped / n_sites
        return Piece(_observables(run.sums, self._couplings, n_sites), passes)


class HeatBathSeries:
    """Sweeps of the heat bath.

    Args:
        L: Length.
        n_chains: Number of chains.
        couplings: Of the action.
        seed: Of the chains.
    """

    def __init__(self, L: int, *, n_chains: int, couplings: FieldCouplings, seed: int) -> None:
        chains = start_field((L, L), n_chains, generator=Generator().manual_seed(seed))
        self._x, self._streams, self._couplings = chains.x, chains.streams, couplings

    def advance(self, n_updates: int, every: int) -> Piece:
        """Make sweeps."""
        a, b, t = self._couplings
        records = []
        for _ in range(n_updates // every):
            step = heat_bath_step(
                self._x, self._streams, quadratic=a, quartic=b, hopping=t, n_sweeps=every
            )
            self._x, self._streams = step.x, step.streams
            records.append(step.sums)
        return Piece(_observables(_join(records), self._couplings, self._x[0].size), 1.0)


class FourierSeries:
    """Trajectories with Fourier acceleration, by the kernel for any target.

    The stiffness of a mode is that of a free field of the mass pi / L, so that all modes but the
    softest have one period whatever the length of the lattice.

    Args:
        L: Length.
        n_chains: Number of chains.
        couplings: kappa and lambda.
        seed: Of the chains.
    """

    def __init__(self, L: int, *, n_chains: int, couplings: tuple[float, float], seed: int) -> None:
        kappa, quartic = couplings
        self._couplings = hopping_couplings(kappa, quartic)
        self._generator = Generator().manual_seed(seed)
        stiffness = 2 * (2 - bond_cosines((L, L))) + (np.pi / L) ** 2
        scale = FourierScale(torch.from_numpy(1 / np.sqrt(2 * max(kappa, 0.05) * stiffness)))
        target = HoppingPhi4((L, L), {"kappa": kappa, "lambda": quartic})
        self._kernel = HMC(target, step_size=0.1, n_leapfrog=_N_STEPS, scale=scale)
        x = torch.randn(n_chains, L, L, dtype=torch.float64, generator=self._generator)
        self._c = x.new_zeros(n_chains, 0)
        self._state = tune(
            self._kernel, self._kernel.init(x, self._c), self._c, n_steps=_N_TUNING,
            generator=self._generator,
        )  # fmt: skip

    def advance(self, n_updates: int, every: int) -> Piece:
        """Make trajectories at the step size found at the start."""
        records = []
        for number in range(1, n_updates + 1):
            self._state, _ = self._kernel.step(self._state, self._c, generator=self._generator)
            if number % every == 0:
                records.append(field_sums(self._state.x.numpy()))
        n_sites = self._state.x[0].numel()
        return Piece(_observables(_join(records), self._couplings, n_sites), float(_N_STEPS))


def _join(records: list[FieldSums]) -> FieldSums:
    """Sums (n_chains,) of single records as (n_chains, n_records)."""
    return FieldSums(
        *(
            np.stack([getattr(record, name) for record in records], 1)
            for name in ("first", "square", "quartic", "bond")
        )
    )


def _observables(sums: FieldSums, couplings: FieldCouplings, n_sites: int) -> dict[str, np.ndarray]:
    a, b, t = (float(value) for value in couplings)
    action = a * sums.square + b * sums.quartic - t * sums.bond
    return {"|m|": np.abs(sums.first) / n_sites, "action": action / n_sites}


def phi4_methods(kappa: float, quartic: float, n_chains: int) -> list[Method]:
    """HMC, HMC and clusters, heat bath, and Fourier-accelerated HMC."""
    couplings = hopping_couplings(kappa, quartic)

    def trajectories(L: int, seed: int, *, clusters: bool) -> Chains:
        return TrajectorySeries(
            L, n_chains=n_chains, couplings=couplings, seed=seed, clusters=clusters
        )

    def heat_bath(L: int, seed: int) -> Chains:
        return HeatBathSeries(L, n_chains=n_chains, couplings=couplings, seed=seed)

    def fourier(L: int, seed: int) -> Chains:
        return FourierSeries(L, n_chains=n_chains, couplings=(kappa, quartic), seed=seed)

    def method(
        name: str, start: Callable[[int, int], Chains], guess: tuple[float, float], cost: float
    ) -> Method:
        return Method(
            name=name, start=start, amplitude=guess[0], exponent=guess[1],
            cost=lambda L: cost * L**2, unit=_UNIT,
        )  # fmt: skip

    return [
        method("HMC", partial(trajectories, clusters=False), (0.1, 1.8), 40.0),
        method("HMC + cluster", partial(trajectories, clusters=True), (1.0, 0.5), 50.0),
        method("heat bath", heat_bath, (0.1, 2.0), 60.0),
        method("Fourier HMC", fourier, (1.0, 0.5), 600.0),
    ]
