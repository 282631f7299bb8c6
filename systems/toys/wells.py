"""Independent quartic wells, some with harmonic neighbours: many modes, exact answers."""

import math

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.toys.exact import ExactTarget, check_count
from systems.toys.quartic import QuarticWell


class _Wells(ExactTarget):
    """Coordinates 0, s, 2s, ... feel a quartic well, the others y^2 / 2; all independent.

    Args:
        n_dims: Number of coordinates, a multiple of the stride.
        stride: s.
        quartic: The well.
    """

    def __init__(self, n_dims: int, stride: int, quartic: QuarticWell) -> None:
        check_count("n_dims", n_dims)
        if n_dims % stride:
            raise ValueError(f"n_dims: expected a multiple of {stride}, got {n_dims}")
        super().__init__((n_dims,))
        self.n_dims = n_dims
        self.quartic = quartic
        self._stride = stride
        self._n_wells = n_dims // stride

    @property
    def n_modes(self) -> int:
        """Number of minima, where each quartic well has two."""
        return 2**self._n_wells

    def potential(self, x: Tensor) -> Tensor:
        """U(x): (B, n_dims) -> (B,)."""
        columns = x.unflatten(-1, (self._n_wells, self._stride))
        wells = self.quartic.potential(columns[..., 0]).sum(-1)
        return wells + 0.5 * columns[..., 1:].square().sum((-1, -2))

    def log_partition(self, T: float) -> float:
        """Log Z(T): a quadrature for the quartic coordinates, the closed form for the others."""
        check_positive("T", T)
        harmonic = 0.5 * self._n_harmonic * math.log(2 * math.pi * T)
        return self._n_wells * self.quartic.log_partition(T) + harmonic

    def mean_potential(self, T: float) -> float:
        """Mean of U at temperature T."""
        return self._n_wells * self.quartic.moments(T)[0] + 0.5 * self._n_harmonic * T

    def heat_capacity(self, T: float) -> float:
        """Var(U) / T^2."""
        return self._n_wells * self.quartic.moments(T)[1] / T**2 + 0.5 * self._n_harmonic

    def sample_exact(self, T: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n independent configurations at temperature T: (n, n_dims), float64."""
        check_count("n", n)
        wells = self.quartic.sample(T, (n, self._n_wells, 1), generator=generator)
        shape = (n, self._n_wells, self._stride - 1)
        z = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.cat([wells, z * math.sqrt(T)], -1).flatten(1)

    @property
    def _n_harmonic(self) -> int:
        return self._n_wells * (self._stride - 1)


class DoubleWell2D(_Wells):
    """U(d, v) = a d + b d^2 + c d^4 + v^2 / 2.

    Args:
        quartic: The coefficients; a = 0, b = -4, c = 1 unless given.

    References:
        Noe et al., Boltzmann generators, Science 365, eaaw1147 (2019); used for temperature
        transfer by Wahl et al., TRADE, arXiv:2410.19492.
    """

    def __init__(self, quartic: QuarticWell | None = None) -> None:
        super().__init__(2, 2, quartic or QuarticWell())


class MultiWell(_Wells):
    """U(x) = sum_i (a x_i + b x_i^2 + c x_i^4): 2^n minima of equal depth where a = 0.

    Args:
        n_dims: Number of coordinates.
        quartic: The coefficients; a = 0, b = -4, c = 1 unless given.

    References:
        Wahl et al., TRADE, arXiv:2410.19492.
    """

    def __init__(self, n_dims: int = 5, quartic: QuarticWell | None = None) -> None:
        super().__init__(n_dims, 1, quartic or QuarticWell())


class ManyWell(_Wells):
    """Pairs (x, y) with -x / 2 - 6 x^2 + x^4 + y^2 / 2: 2^(n / 2) minima of unequal weight.

    Args:
        n_dims: Number of coordinates, even.
        quartic: The coefficients; a = -1/2, b = -6, c = 1 unless given.

    References:
        Midgley et al., Flow annealed importance sampling bootstrap, arXiv:2208.01893.
    """

    def __init__(self, n_dims: int = 32, quartic: QuarticWell | None = None) -> None:
        super().__init__(n_dims, 2, quartic or QuarticWell(a=-0.5, b=-6.0, c=1.0))
