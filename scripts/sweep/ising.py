"""The Ising model, as a sweep sees it: spins for Monte Carlo, a continuous field for flows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from sweep.lattice import (
    Chains,
    ChainSettings,
    Couplings,
    Lattice,
    LatticeConfig,
    Observable,
    common_observables,
)
from systems.lattices import ContinuousIsing
from systems.lattices.exact import IsingTransfer, enumerate_ising, torus_averages
from systems.lattices.monte_carlo import SwendsenWang, run_ising, start_ising
from systems.lattices.observables import bond_sum, magnetisation

MOST_ENUMERATED = 20
WIDEST_STRIP = 8
MARGIN = 1.05


class IsingLattice(Lattice):
    """E = -J B - h M at temperature T; u = E / V, T in units of J / k where J = 1."""

    measured = ("abs_m", "m2", "m4", "m", "bond", "u2")
    statistics = ("bond", "m")

    def __init__(self, config: LatticeConfig) -> None:
        super().__init__(config)
        v = config.n_sites
        self.observables = (
            *common_observables(v),
            Observable("energy", "u = ⟨E⟩ / V", self._energy),
            Observable(
                "heat_capacity",
                "c = V (⟨u²⟩ − ⟨u⟩²) / T²",
                self._heat_capacity,
            ),
        )

    def _energy(self, means: np.ndarray, couplings: Couplings) -> float:
        h = couplings["h"]
        return float(-couplings["J"] * means[4] - (h * means[3] if h else 0.0))

    def _heat_capacity(self, means: np.ndarray, couplings: Couplings) -> float:
        variance = means[5] - self._energy(means, couplings) ** 2
        return float(self.config.n_sites * variance / couplings["T"] ** 2)

    def target(self) -> ContinuousIsing:
        """The continuous field of the same free energy."""
        return ContinuousIsing(self.config.shape, self.config.fixed, margin=MARGIN)

    def measure(self, x: Tensor, c: Tensor, *, generator: Generator) -> np.ndarray:
        """Draw spins given the field, and measure those."""
        target = self.target()
        couplings = {name: v.double() for name, v in target.couplings(c, x).items()}
        return self.measure_spins(target.spins(x, c, generator=generator), couplings)

    def measure_spins(self, spins: Tensor, couplings: dict[str, Tensor]) -> np.ndarray:
        """Measure spins (N, *shape) at couplings (N,) -> float64 (N, M)."""
        m = magnetisation(spins).double()
        bond = bond_sum(spins).double() / self.config.n_sites
        u = -couplings["J"] * bond - couplings["h"] * m
        return torch.stack([m.abs(), m**2, m**4, m, bond, u**2], 1).cpu().numpy()

    def chains(
        self, couplings: Couplings, settings: ChainSettings, *, generator: Generator
    ) -> Chains:
        """Swendsen and Wang's clusters, which know any coupling and field."""
        starting = start_ising(self.config.shape, settings.n_chains, generator=generator)
        run = run_ising(
            starting, SwendsenWang(), settings.schedule,
            T=couplings["T"], J=couplings["J"], h=couplings["h"],
        )  # fmt: skip
        v = self.config.n_sites
        m, bond = run.spin_sum / v, run.bond_sum / v
        u = -couplings["J"] * bond - couplings["h"] * m
        return Chains(np.stack([np.abs(m), m**2, m**4, m, bond, u**2], -1), run.spins)

    def field_of(self, configurations: Tensor, c: Tensor, *, generator: Generator) -> Tensor:
        """The continuous field given spins."""
        return self.target().field(configurations, c, generator=generator)

    def nearest_to_known_end(self, couplings: Sequence[Couplings]) -> int:
        """The smallest |J| / T."""
        return int(np.argmin([abs(c["J"]) / c["T"] for c in couplings]))

    def coefficients(self, couplings: Couplings) -> np.ndarray:
        """Of the bonds and the magnetisation."""
        return -np.array([couplings["J"], couplings["h"]]) / couplings["T"]

    def known_end(self, couplings: Couplings) -> tuple[dict[str, float], float]:
        """Without bonds and field every spin is by itself."""
        return {**couplings, "J": 0.0, "h": 0.0}, self.config.n_sites * float(np.log(2))

    def exact_means(self, couplings: Couplings) -> tuple[np.ndarray, float]:
        """Enumeration of few spins, Kaufman's torus without a field, strips with one."""
        shape, v = self.config.shape, self.config.n_sites
        T, J, h = (couplings[name] for name in ("T", "J", "h"))
        if v <= MOST_ENUMERATED:
            states, at = enumerate_ising(shape), (T, J, h)
            u2 = states.heat_capacity(*at) * T**2 + states.energy(*at) ** 2
            known = [
                states.absolute_magnetisation(*at), states.magnetisation_square(*at),
                states.magnetisation_fourth(*at), states.magnetisation(*at),
                states.bond_sum(*at) / v, u2 / v**2,
            ]  # fmt: skip
            return np.array(known), states.log_partition(*at)
        means = np.full(len(self.measured), np.nan)
        if len(shape) == 2 and h == 0 and J > 0:
            torus = torus_averages(shape, T, J)
            u = torus.energy / v
            means[3:] = 0.0, -u / J, torus.heat_capacity * T**2 / v**2 + u**2
            return means, torus.log_partition
        if len(shape) <= 2 and min(shape) <= WIDEST_STRIP:
            width = 1 if len(shape) == 1 else min(shape)
            strip = IsingTransfer(T, width, J, h)
            length = max(shape)
            m = strip.magnetisation(length)
            u = strip.energy(length) / v
            means[1] = strip.magnetisation_square(length)
            bond = -(u + h * m) / J if J else np.nan
            means[3:] = m, bond, strip.heat_capacity(length) * T**2 / v**2 + u**2
            return means, strip.log_partition(length)
        return means, np.nan
