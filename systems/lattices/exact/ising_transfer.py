"""The Ising model in a field on rings and strips of any length, by its transfer matrix."""

from functools import cached_property

import numpy as np

from systems.lattices.exact.arguments import check_ising, check_whole
from systems.lattices.exact.sectors import Spectrum

MAX_WIDTH = 12


class IsingTransfer:
    """Z = tr(A^N) for E = -J B - h sum s, weight exp(-E / T), on a periodic strip of length N.

    A slice holds W spins s, and A(s, r) = exp((u(s) + u(r)) / 2 + J sum_w s_w r_w / T) with
    u(s) = (J sum_w s_w s_{w + 1} + h sum_w s_w) / T: periodic across, so the bond across counts
    twice at width 2, and there is none at width 1. Reflections of the slice and, at h = 0, the
    reversal of all spins split the matrix of 2^W rows.

    Args:
        T: Temperature; Boltzmann's constant is 1.
        width: W, 1 to 12. Up to 10 takes a fraction of a second, 12 some seconds.
        J: Coupling.
        h: Field.

    Raises:
        ValueError: T is not positive, another number is not finite, or the width is out of range.

    References:
        Kramers and Wannier, Phys. Rev. 60, 252 (1941).
    """

    def __init__(self, T: float, width: int, J: float = 1.0, h: float = 0.0) -> None:
        check_ising(T, J, h)
        check_whole("width", width, 1, MAX_WIDTH)
        self.T, self.width, self.J, self.h = T, width, J, h
        bits = (np.arange(2**width)[:, None] >> np.arange(width)) & 1
        self._spins = (1 - 2 * bits).astype(np.float64)
        ring = (self._spins * np.roll(self._spins, 1, axis=1)).sum(axis=1)
        self._ring = ring if width > 1 else np.zeros(2)
        self._energy = -J * self._ring - h * self._spins.sum(axis=1)

    def log_partition(self, length: int) -> float:
        """Log Z of the strip of this length."""
        check_whole("length", length, 2)
        return self.spectrum.log_trace(length) - length * self._lowest / self.T

    def energy(self, length: int) -> float:
        """Mean of E."""
        check_whole("length", length, 2)
        return length * self.spectrum.kernel_mean(self._energy_kernel, length)

    def heat_capacity(self, length: int) -> float:
        """Derivative of the mean of E in T, Var(E) / T^2; time grows as the length."""
        check_whole("length", length, 2)
        mean = self.energy(length) / length

        def first(p: np.ndarray, q: np.ndarray) -> np.ndarray:
            return self._kernel(p, q) * (self._pair_energy(p, q) - mean)

        def second(p: np.ndarray, q: np.ndarray) -> np.ndarray:
            return self._kernel(p, q) * (self._pair_energy(p, q) - mean) ** 2

        # The parameter is g of exp(g (E - <E>)) for every slice: it generates the cumulants.
        return self.spectrum.derivatives(first, second, length).second / self.T**2

    def magnetisation(self, length: int) -> float:
        """Mean of m = M / V, M = sum_i s_i; 0 at h = 0."""
        check_whole("length", length, 2)
        return 0.0 if self.h == 0 else self.spectrum.mean(self._at_points, length) / self.width

    def slice_correlator(self, length: int) -> np.ndarray:
        """Mean of M_0 M_r, M_r the sum of the spins of slice r, for r = 0 .. N - 1: shape (N,)."""
        check_whole("length", length, 2)
        signs = (1, -1) if self.h == 0 else (1,)
        return self.spectrum.correlator(self._at_points, signs, length)

    def magnetisation_square(self, length: int) -> float:
        """Mean of m^2."""
        return float(self.slice_correlator(length).sum()) / (length * self.width**2)

    def log_partition_per_length(self) -> float:
        """Limit of log Z / N at infinite length."""
        return self.spectrum.log_largest - self._lowest / self.T

    def energy_per_length(self) -> float:
        """Limit of the mean of E / N at infinite length."""
        return self.spectrum.ground_kernel_mean(self._energy_kernel)

    def mass_gap(self) -> float:
        """Inverse correlation length along an infinite strip, log(lambda_0 / |lambda_1|)."""
        return self.spectrum.gap()

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigenvalues and eigenvectors of the transfer matrix."""
        index = np.arange(2**self.width)
        powers = 1 << np.arange(self.width)
        reflected = ((self._spins[:, ::-1] < 0) * powers).sum(axis=1)
        involutions = [reflected, index[::-1]] if self.h == 0 else [reflected]
        return Spectrum(self._kernel, len(index), involutions)

    @property
    def _at_points(self) -> np.ndarray:
        """Sum of the spins of one slice of every orbit."""
        return self._spins[self.spectrum.points].sum(axis=1)

    @cached_property
    def _lowest(self) -> float:
        """The lowest energy of a slice, `_pair_energy`; aligned slices have it where J >= 0."""
        if self.J >= 0:
            return float(self._energy.min()) - self.J * self.width
        index = np.arange(len(self._spins))
        return min(float(self._pair_energy(index[p : p + 1], index).min()) for p in index)

    def _pair_energy(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Energy of a slice: half of its own bonds, half of the next one's, and those between."""
        between = sum(self._spins[p, w] * self._spins[q, w] for w in range(self.width))
        return 0.5 * (self._energy[p] + self._energy[q]) - self.J * between

    def _kernel(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.exp((self._lowest - self._pair_energy(p, q)) / self.T)

    def _energy_kernel(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return self._kernel(p, q) * self._pair_energy(p, q)
