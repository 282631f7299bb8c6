"""Equal particles without a wall: pairs by their distance, each once, and an oscillator."""

import math
from abc import abstractmethod

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import gammaln
from torch import Tensor

from systems.checks import check_positive
from systems.thermal import ThermalTarget

_MOST_UNLIKELY = 700.0
"""Exponents below minus this are dropped from integrals."""


class ParticleCluster(ThermalTarget):
    """U(x) = sum over pairs i < j of u(|x_i - x_j|) + s / 2 sum_i |x_i - centre|^2.

    Every pair counts once, and the particles are equal. U does not depend on where the centre is:
    the density is that of centred configurations, on (N - 1) n dimensions with the measure of
    orthonormal coordinates there, and so is Z. The unit of energy is that of U, k = 1.

    Args:
        n_particles: N, at least 2.
        n_dims: Dimension n of space, at least 1.
        oscillator: s, at least 0; without one the pairs alone must hold the particles together.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(self, n_particles: int, n_dims: int, *, oscillator: float = 0.0) -> None:
        for name, value, least in (("n_particles", n_particles, 2), ("n_dims", n_dims, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name}: expected a whole number of at least {least}, got {value}"
                )
        if not (math.isfinite(oscillator) and oscillator >= 0):
            raise ValueError(f"oscillator: expected a number of at least 0, got {oscillator}")
        super().__init__((n_particles, n_dims), boltzmann_constant=1.0)
        self.n_particles, self.n_dims, self.oscillator = n_particles, n_dims, oscillator
        self._first, self._second = torch.triu_indices(n_particles, n_particles, 1)

    @property
    def n_free(self) -> int:
        """(N - 1) n, the dimensions that are left without the centre."""
        return (self.n_particles - 1) * self.n_dims

    @abstractmethod
    def pair_potential(self, square: Tensor) -> Tensor:
        """U of squared distances, of any shape; +inf where forbidden, never NaN."""

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared distances of all pairs: (B, N, n) -> (B, N (N - 1) / 2)."""
        device = x.device
        apart = x[:, self._first.to(device)] - x[:, self._second.to(device)]
        return apart.square().sum(-1)

    def distances(self, x: Tensor) -> Tensor:
        """Distances of all pairs: (B, N, n) -> (B, N (N - 1) / 2)."""
        return self.squared_distances(x).sqrt()

    def potential(self, x: Tensor) -> Tensor:
        """U(x): (B, N, n) -> (B,)."""
        total = self.pair_potential(self.squared_distances(x)).sum(-1)
        if self.oscillator:
            centred = x - x.mean(-2, keepdim=True)
            total = total + 0.5 * self.oscillator * centred.square().sum((-1, -2))
        return total

    def two_particle_moments(self, T: float) -> tuple[float, float]:
        """Log Z and the mean of U of two particles, by an integral over their distance.

        With y = (x_1 - x_2) / sqrt(2), the only orthonormal coordinates, Z is the area of the unit
        sphere times the integral of |y|^(n - 1) exp(-U / T).

        Raises:
            ValueError: There are more than two, T is not positive, or nothing holds them together.
        """
        check_positive("T", T)
        if self.n_particles != 2:
            raise ValueError(f"n_particles: expected 2 for an exact answer, got {self.n_particles}")
        n = self.n_dims
        radii = np.geomspace(1e-3, 1e3, 20_001)
        exponent = (n - 1) * np.log(radii) - self._potential_at(radii) / T
        top = exponent.max()
        inside = radii[exponent > top - _MOST_UNLIKELY / 2]
        if inside[-1] == radii[-1]:
            raise ValueError(
                f"oscillator: two particles at T = {T:g} reach beyond {radii[-1]:g}; expected a "
                "potential that holds them together"
            )
        low, high = float(inside[0]), float(inside[-1])
        low = 0.0 if low == radii[0] else low
        edges = np.linspace(low, high, 65)

        def integral(power: int) -> float:
            def value(radius: float) -> float:
                potential = float(self._potential_at(np.array([radius]))[0])
                if not math.isfinite(potential):
                    return 0.0
                return potential**power * math.exp((n - 1) * math.log(radius) - potential / T - top)

            pieces = zip(edges[:-1], edges[1:], strict=True)
            return math.fsum(quad(value, a, b, epsabs=0, epsrel=1e-11)[0] for a, b in pieces)

        area = math.log(2) + 0.5 * n * math.log(math.pi) - float(gammaln(0.5 * n))
        norm = integral(0)
        return area + top + math.log(norm), integral(1) / norm

    def _potential_at(self, radii: np.ndarray) -> np.ndarray:
        """U of two particles at |y|, (K,) -> (K,)."""
        square = torch.from_numpy(np.asarray(radii)).double().square()
        pair = self.pair_potential(2 * square)
        return (pair + 0.5 * self.oscillator * square).numpy()
