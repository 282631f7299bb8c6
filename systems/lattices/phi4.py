"""The scalar field with a quartic term, in the three conventions of the literature.

All are S(phi) = a sum phi^2 + b sum phi^4 - t B(phi), B the sum of phi_x phi_{x + mu} over sites
and directions; they differ in what they call the coefficients (a, b, t). `conventions` converts.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from systems.lattices.coupled import CoupledTarget
from systems.lattices.geometry import bond_cosines
from systems.lattices.observables import bond_sum, quartic_sum, square_sum


class ScalarField(CoupledTarget):
    """What the conventions share: the action and its derivatives from three sums.

    Subclasses write `coefficients` and `coefficient_slopes`.

    Args:
        shape: Lengths of the lattice, one to three, periodic.
        coupling_names: All couplings, in order.
        fixed: Values of those that are not controls.
    """

    def __init__(
        self,
        shape: Sequence[int],
        coupling_names: tuple[str, ...],
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(shape, coupling_names, fixed)
        cosines = bond_cosines(self.event_shape)
        self._cosine_range = float(cosines.min()), float(cosines.max())

    @abstractmethod
    def coefficients(self, couplings: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(a, b, t), each (B,), from the couplings."""

    @abstractmethod
    def coefficient_slopes(self) -> Mapping[str, tuple[float, float, float]]:
        """Derivatives of (a, b, t) in every coupling; they are linear in all of them."""

    def _energy_and_slopes(
        self, x: Tensor, couplings: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        sums = square_sum(x), quartic_sum(x), bond_sum(x)
        a, b, t = self.coefficients(couplings)
        energy = a * sums[0] + b * sums[1] - t * sums[2]
        huge = ~energy.isfinite() & ~sums[1].isnan()  # powers of a huge field overflow
        slopes = {}
        for name, (da, db, dt) in self.coefficient_slopes().items():
            terms = [k * s for k, s in zip((da, db, -dt), sums, strict=True) if k]
            total = torch.stack(terms).sum(0)
            slopes[name] = torch.where(huge & total.isnan(), 0.0, total)
        return torch.where(huge, torch.inf, energy), slopes

    def _check_couplings(self, couplings: Mapping[str, Tensor]) -> None:
        a, b, t = self.coefficients(couplings)
        low, high = self._cosine_range
        softest = a - torch.maximum(t * high, t * low)
        bounded = (b > 0) | ((b == 0) & (softest > 0))
        if not bool(bounded.all()):
            at = int((~bounded).nonzero()[0, 0])
            given = ", ".join(f"{name} = {value[at].item():g}" for name, value in couplings.items())
            raise ValueError(
                f"c: the action is unbounded at {given}; expected a quartic coefficient above 0, "
                "or 0 with every mode of the free field stable"
            )


class HoppingPhi4(ScalarField):
    """S = sum_x (1 - 2 lambda) phi^2 + lambda phi^4 - 2 kappa sum_mu phi_x phi_{x + mu}.

    The field of lambda -> infinity is the Ising model at 1 / T = 2 kappa.

    Args:
        shape: Lengths of the lattice, one to three, periodic.
        fixed: Values of "kappa" and "lambda" that are not controls, such as {"lambda": 0.02}.

    References:
        Nicoli et al., Phys. Rev. Lett. 126, 032001 (2021), arXiv:2007.07115, equation 1; used
        for TRADE, Wahl et al., arXiv:2410.19492.

    Example:
        >>> target = HoppingPhi4((8, 8), {"lambda": 0.02})
        >>> target.control_names
        ('kappa',)
        >>> target.energy(torch.ones(2, 8, 8), 0.25)
        tensor([-1.2800, -1.2800])
    """

    def __init__(self, shape: Sequence[int], fixed: Mapping[str, float] | None = None) -> None:
        super().__init__(shape, ("kappa", "lambda"), fixed)

    def coefficients(self, couplings: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(1 - 2 lambda, lambda, 2 kappa)."""
        return 1 - 2 * couplings["lambda"], couplings["lambda"], 2 * couplings["kappa"]

    def coefficient_slopes(self) -> Mapping[str, tuple[float, float, float]]:
        """Derivatives of (a, b, t) in kappa and lambda."""
        return {"kappa": (0.0, 0.0, 2.0), "lambda": (-2.0, 1.0, 0.0)}


class KineticPhi4(ScalarField):
    """S = sum_x sum_mu (phi_{x + mu} - phi_x)^2 + m2 phi^2 + g phi^4, without halves.

    Args:
        shape: Lengths of the lattice, one to three, periodic.
        fixed: Values of "m2" and "g" that are not controls, such as {"m2": -4.0}.

    References:
        Albergo, Kanwar and Shanahan, Phys. Rev. D 100, 034515 (2019), arXiv:1904.12072;
        Gerdes et al., SciPost Phys. 15, 238 (2023), arXiv:2207.00283.
    """

    def __init__(self, shape: Sequence[int], fixed: Mapping[str, float] | None = None) -> None:
        super().__init__(shape, ("m2", "g"), fixed)

    def coefficients(self, couplings: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(m2 + 2 d, g, 2)."""
        two = torch.full_like(couplings["m2"], 2.0)
        return couplings["m2"] + 2 * self.n_dims, couplings["g"], two

    def coefficient_slopes(self) -> Mapping[str, tuple[float, float, float]]:
        """Derivatives of (a, b, t) in m2 and g."""
        return {"m2": (1.0, 0.0, 0.0), "g": (0.0, 1.0, 0.0)}


class CanonicalPhi4(ScalarField):
    """S = sum_x kappa / 2 sum_mu (phi_{x + mu} - phi_x)^2 + m2 / 2 phi^2 + lambda / 4! phi^4.

    Args:
        shape: Lengths of the lattice, one to three, periodic.
        fixed: Values of "m2", "lambda" and "kappa" that are not controls; usually kappa is 1.

    References:
        Bialas, Korcyl and Stebel, Comput. Phys. Commun. 281, 108502 (2022), arXiv:2202.01314
        (NeuMC).
    """

    def __init__(self, shape: Sequence[int], fixed: Mapping[str, float] | None = None) -> None:
        super().__init__(shape, ("m2", "lambda", "kappa"), fixed)

    def coefficients(self, couplings: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(m2 / 2 + d kappa, lambda / 24, kappa)."""
        kappa = couplings["kappa"]
        return couplings["m2"] / 2 + self.n_dims * kappa, couplings["lambda"] / 24, kappa

    def coefficient_slopes(self) -> Mapping[str, tuple[float, float, float]]:
        """Derivatives of (a, b, t) in m2, lambda and kappa."""
        return {
            "m2": (0.5, 0.0, 0.0),
            "lambda": (0.0, 1 / 24, 0.0),
            "kappa": (float(self.n_dims), 0.0, 1.0),
        }
