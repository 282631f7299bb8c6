"""The Ising model: its energy on spins, and the continuous field that has the same free energy."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from systems.checks import check_event
from systems.lattices.coupled import CoupledTarget, require
from systems.lattices.geometry import bond_cosines, check_lattice
from systems.lattices.observables import bond_sum

COUPLINGS = ("T", "J", "h")
DEFAULTS = {"J": 1.0, "h": 0.0}
LEAST_MARGIN = 1.01


class Ising(CoupledTarget):
    """E(s) = -(J B(s) + h M(s)) / T on spins s = +1, -1, with k = 1.

    B is the sum of s_x s_{x + mu} over sites and directions, M the sum of the spins. Configurations
    are floating-point tensors of +1 and -1; the energy is the same polynomial elsewhere.

    Args:
        shape: Lengths of the lattice, one to three, periodic.
        fixed: Values of "T", "J" and "h" that are not controls; J = 1 and h = 0 unless given.

    Example:
        >>> Ising((4, 4)).energy(torch.ones(1, 4, 4), 2.0)
        tensor([-16.])
    """

    def __init__(self, shape: Sequence[int], fixed: Mapping[str, float] | None = None) -> None:
        super().__init__(shape, COUPLINGS, DEFAULTS if fixed is None else fixed)

    def _energy_and_slopes(
        self, x: Tensor, couplings: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        T, J, h = (couplings[name] for name in COUPLINGS)
        bonds, total = bond_sum(x), x.flatten(1).sum(1)
        energy = -(J * bonds + h * total) / T
        huge = ~energy.isfinite() & ~bonds.isnan()
        slopes = {"T": -energy / T, "J": -bonds / T, "h": -total / T}
        return torch.where(huge, torch.inf, energy), slopes

    def _check_couplings(self, couplings: Mapping[str, Tensor]) -> None:
        T = couplings["T"]
        require("T", T > 0, "a number above 0", T)


class ContinuousIsing(CoupledTarget):
    """The Ising model as a field x: spins s given x are independent, and their sum is done.

    With the positive definite matrix K = (J A + a) / T, A_{xy} the number of bonds between two
    sites and a = margin * 2 d |J|, the identity exp(s K s / 2) = <exp(x s)> over x ~ N(0, K) gives

        S(x) = x K^{-1} x / 2 - sum_x log 2 cosh(x + h / T)
               + (V log 2 pi + log det K) / 2 + V a / (2 T),

    whose partition function is exactly that of the spins: the last term takes out the diagonal of
    K, s K s / 2 = J B(s) / T + V a / (2 T). Hence d log Z / dT, and with it the mean energy of the
    spins, follow from this target alone. `spins` draws them from the field, `field` the reverse.
    With J below 0 the same holds, a keeping K positive.

    Args:
        shape: Lengths of the lattice, one to three, periodic.
        fixed: Values of "T", "J" and "h" that are not controls; J = 1 and h = 0 unless given.
        margin: a / (2 d |J|), at least 1.01. Just above 1 the field carries little noise, but is
            stiff in its roughest modes.

    Raises:
        ValueError: The margin is too small, or a coupling does not exist.

    References:
        Hubbard, Phys. Rev. Lett. 3, 77 (1959); Zhang et al., NIPS 2012, arXiv:1206.2005 (the
        continuous relaxation); Li and Wang, Phys. Rev. Lett. 121, 260601 (2018), arXiv:1802.02840.
    """

    def __init__(
        self,
        shape: Sequence[int],
        fixed: Mapping[str, float] | None = None,
        *,
        margin: float = 1.25,
    ) -> None:
        super().__init__(shape, COUPLINGS, DEFAULTS if fixed is None else fixed)
        if not (math.isfinite(margin) and margin >= LEAST_MARGIN):
            raise ValueError(f"margin: expected a number of at least {LEAST_MARGIN}, got {margin}")
        self.margin = margin
        self._bands = torch.from_numpy(2 * bond_cosines(check_lattice(shape)))

    def _spectrum(self, J: Tensor) -> Tensor:
        """Eigenvalues of J A + a, one row for each of J, (B, L_1, ..., L_d)."""
        J = J.reshape(-1, *[1] * self.n_dims)
        bands = self._bands.to(dtype=J.dtype, device=J.device)
        return J * bands + self.margin * 2 * self.n_dims * J.abs()

    def _energy_and_slopes(
        self, x: Tensor, couplings: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        T, J, h = (couplings[name] for name in COUPLINGS)
        axes = tuple(range(1, x.dim()))
        spectrum, bands = self._spectrum(J), self._bands.to(dtype=x.dtype, device=x.device)
        power = torch.fft.fftn(x, dim=axes).abs().square() / self.n_sites
        square = (power / spectrum).flatten(1).sum(1)
        diagonal = self.margin * 2 * self.n_dims * J.abs()
        tilted = x + (h / T).reshape(-1, *[1] * self.n_dims)
        log_cosh = (tilted.abs() + functional.softplus(-2 * tilted.abs())).flatten(1).sum(1)
        log_det = spectrum.log().flatten(1).sum(1) - self.n_sites * T.log()
        constant = (self.n_sites * (math.log(2 * math.pi) + diagonal / T) + log_det) / 2
        energy = 0.5 * T * square - log_cosh + constant
        energy = torch.where(energy.isnan() & ~x.isnan().flatten(1).any(1), torch.inf, energy)
        total = tilted.tanh().flatten(1).sum(1)
        step = bands + (self.margin * 2 * self.n_dims * J.sign()).reshape(-1, *[1] * self.n_dims)
        slope_J = (1 - T.reshape(-1, *[1] * self.n_dims) * power / spectrum) * step / spectrum
        slopes = {
            "T": 0.5 * square + h / T**2 * total - self.n_sites * (1 / T + diagonal / T**2) / 2,
            "J": 0.5 * slope_J.flatten(1).sum(1) + self.n_sites * diagonal / J / T / 2,
            "h": -total / T,
        }
        return energy, slopes

    def _check_couplings(self, couplings: Mapping[str, Tensor]) -> None:
        T, J = couplings["T"], couplings["J"]
        require("T", T > 0, "a number above 0", T)
        require("J", J != 0, "a number other than 0", J)

    def spin_means(self, x: Tensor, c: Tensor | float) -> Tensor:
        """<s | x> = tanh(x + h / T), shape of x: averages over spins with less noise than spins."""
        check_event("x", x, self.event_shape)
        couplings = self.couplings(c, x)
        return (x + (couplings["h"] / couplings["T"]).reshape(-1, *[1] * self.n_dims)).tanh()

    def spins(self, x: Tensor, c: Tensor | float, *, generator: Generator) -> Tensor:
        """Draw spins given the field: +1 with probability 1 / (1 + exp(-2 (x + h / T))).

        If x follows this target, the spins follow the Ising model exactly.

        Args:
            x: Fields, (B, *shape).
            c: Controls, (B, C).
            generator: The random stream.

        Returns:
            Spins of +1 and -1 in the dtype of x, (B, *shape).
        """
        up = (1 + self.spin_means(x, c)) / 2
        uniform = torch.rand(
            x.shape, generator=generator, dtype=x.dtype, device=generator.device
        ).to(x.device)
        return torch.where(uniform < up, 1.0, -1.0).to(x.dtype)

    def field(self, spins: Tensor, c: Tensor | float, *, generator: Generator) -> Tensor:
        """Draw the field given spins, x ~ N(K s, K).

        If the spins follow the Ising model, x follows this target exactly.

        Args:
            spins: Spins of +1 and -1 as floating-point numbers, (B, *shape).
            c: Controls, (B, C).
            generator: The random stream.

        Returns:
            Fields, (B, *shape).

        Raises:
            ValueError: A shape is wrong, or a spin is neither +1 nor -1.
        """
        check_event("spins", spins, self.event_shape)
        if not bool((spins.abs() == 1).all()):
            raise ValueError("spins: expected +1 and -1, got other values")
        couplings, axes = self.couplings(c, spins), tuple(range(1, spins.dim()))
        T = couplings["T"].reshape(-1, *[1] * self.n_dims)
        spectrum = self._spectrum(couplings["J"]) / T
        white = torch.randn(
            spins.shape, generator=generator, dtype=spins.dtype, device=generator.device
        ).to(spins.device)
        mixed = torch.fft.fftn(spins, dim=axes) * spectrum
        mixed = mixed + torch.fft.fftn(white, dim=axes) * spectrum.sqrt()
        return torch.fft.ifftn(mixed, dim=axes).real
