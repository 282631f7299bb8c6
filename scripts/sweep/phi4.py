"""The scalar field in its hopping form, as a sweep sees it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.protocols import Target
from sweep.lattice import (
    Chains,
    ChainSettings,
    Couplings,
    Lattice,
    LatticeConfig,
    Observable,
    common_observables,
)
from systems.lattices import HoppingPhi4, scalar_action
from systems.lattices.exact import FreeField, ScalarAction, ScalarTransfer, scalar_moments
from systems.lattices.exact.quadrature import MAX_RING
from systems.lattices.monte_carlo import (
    FieldCouplings,
    FieldSweep,
    run_field,
    start_field,
)
from systems.lattices.observables import bond_sum, magnetisation, quartic_sum, square_sum

_LONGEST_RING = min(8, MAX_RING)


class Phi4Lattice(Lattice):
    """S = sum (1 - 2 lambda) phi^2 + lambda phi^4 - 2 kappa B."""

    measured = ("abs_m", "m2", "m4", "square", "quartic", "bond", "bond2")
    statistics = ("square", "quartic", "bond")

    def __init__(self, config: LatticeConfig) -> None:
        super().__init__(config)
        v = config.n_sites
        self.observables = (
            *common_observables(v),
            Observable("action", "⟨S⟩ / V", self._action),
            Observable(
                "heat_capacity",
                "κ² ∂² log Z / ∂κ² / V",
                self._heat_capacity,
            ),
        )

    def _action(self, m: np.ndarray, couplings: Couplings) -> float:
        return float(self.coefficients(couplings) @ m[3:6])

    def _heat_capacity(self, m: np.ndarray, couplings: Couplings) -> float:
        return float(4 * couplings["kappa"] ** 2 * self.config.n_sites * (m[6] - m[5] ** 2))

    def target(self) -> Target:
        """The hopping action."""
        return HoppingPhi4(self.config.shape, self.config.fixed)

    def measure(self, x: Tensor, c: Tensor, *, generator: Generator) -> np.ndarray:
        """See the base class."""
        del c, generator
        v = self.config.n_sites
        m, bond = magnetisation(x), bond_sum(x) / v
        columns = [m.abs(), m**2, m**4, square_sum(x) / v, quartic_sum(x) / v, bond, bond**2]
        return torch.stack(columns, 1).double().cpu().numpy()

    def action(self, couplings: Couplings) -> ScalarAction:
        """Coefficients of the action."""
        given = {name: couplings[name] for name in ("kappa", "lambda")}
        return scalar_action(HoppingPhi4, given, n_dims=len(self.config.shape))

    def chains(
        self, couplings: Couplings, settings: ChainSettings, *, generator: Generator
    ) -> Chains:
        """Hamiltonian Monte Carlo with a step of clusters of one sign after each trajectory."""
        action = self.action(couplings)
        run = run_field(
            start_field(self.config.shape, settings.n_chains, generator=generator),
            FieldCouplings(
                *(np.array(k) for k in (action.quadratic, action.quartic, action.hopping))
            ),
            settings.schedule,
            sweep=FieldSweep(clusters="swendsen-wang" if action.hopping > 0 else None),
        )  # fmt: skip
        v, sums = self.config.n_sites, run.sums
        m, bond = sums.first / v, sums.bond / v
        columns = [np.abs(m), m**2, m**4, sums.square / v, sums.quartic / v, bond, bond**2]
        return Chains(np.stack(columns, -1), run.x)

    def field_of(self, configurations: Tensor, c: Tensor, *, generator: Generator) -> Tensor:
        """The configurations themselves."""
        del c, generator
        return configurations

    def nearest_to_known_end(self, couplings: Sequence[Couplings]) -> int:
        """The smallest |kappa|."""
        return int(np.argmin([abs(c["kappa"]) for c in couplings]))

    def coefficients(self, couplings: Couplings) -> np.ndarray:
        """Of phi^2, phi^4 and the bonds."""
        action = self.action(couplings)
        return np.array([action.quadratic, action.quartic, -action.hopping])

    def known_end(self, couplings: Couplings) -> tuple[dict[str, float], float]:
        """At kappa = 0 every site is by itself."""
        end = {**couplings, "kappa": 0.0}
        pair = scalar_moments(self.action(end), (2,)).moments.log_partition
        return end, self.config.n_sites * pair / 2

    def exact_means(self, couplings: Couplings) -> tuple[np.ndarray, float]:
        """Free fields; 2 x 2 and short rings by quadrature; strips by the transfer operator."""
        action, shape, v = self.action(couplings), self.config.shape, self.config.n_sites
        unknown = np.nan
        if action.quartic == 0:
            free = FreeField(action, shape)
            m2 = free.magnetisation_square() / v**2
            means = [
                free.magnetisation_absolute() / v, m2, 3 * m2**2, free.mean_square(),
                free.mean_fourth(), free.bond_sum() / v, unknown,
            ]  # fmt: skip
            return np.array(means), free.log_partition()
        if shape == (2, 2) or (len(shape) == 1 and v <= _LONGEST_RING):
            found = scalar_moments(action, shape).moments
            means = [
                found.magnetisation_absolute / v, found.magnetisation_square / v**2,
                found.magnetisation_fourth / v**4, found.mean_square, found.mean_fourth,
                found.bond_sum / v, unknown,
            ]  # fmt: skip
            return np.array(means), found.log_partition
        if len(shape) == 1 or (len(shape) == 2 and min(shape) == 2):
            return self._strip_means(action)
        return np.full(len(self.measured), unknown), unknown

    def _strip_means(self, action: ScalarAction) -> tuple[np.ndarray, float]:
        shape, v = self.config.shape, self.config.n_sites
        strip = ScalarTransfer(action, width=1 if len(shape) == 1 else 2)
        length = max(shape)
        means = [
            np.nan, strip.magnetisation_square(length) / v**2, np.nan, strip.mean_square(length),
            strip.mean_fourth(length), strip.bond_sum(length) / v, np.nan,
        ]  # fmt: skip
        return np.array(means), strip.log_partition(length)
