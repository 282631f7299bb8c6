"""The Ising model on up to 25 sites: every state is counted, so everything is exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from systems.lattices.exact.arguments import check_ising
from systems.lattices.geometry import check_lattice, neighbour_table

MAX_SITES = 25


@dataclass(frozen=True, eq=False)
class IsingStates:
    """Numbers g(B, M) of spin states with bond sum B and magnetisation M = sum_i s_i.

    All averages are those of E = -J B - h M with weight exp(-E / T), Boltzmann's constant 1.
    Energy, heat capacity, M and susceptibility are of the whole lattice; m = M / V is per site.

    Args:
        shape: Lengths of the lattice.
        bond_sums: B of every class of states that occurs, integers (C,).
        magnetisations: M of every class, integers (C,).
        counts: Number of states in every class, integers (C,); they sum to 2^V.
    """

    shape: tuple[int, ...]
    bond_sums: np.ndarray
    magnetisations: np.ndarray
    counts: np.ndarray

    @property
    def n_sites(self) -> int:
        """Number of sites V."""
        return math.prod(self.shape)

    def density_of_states(self) -> dict[int, int]:
        """Number of states at each bond sum; at J = 1 and h = 0 the energy is -B."""
        values, inverse = np.unique(self.bond_sums, return_inverse=True)
        totals = np.zeros(len(values), dtype=np.int64)
        np.add.at(totals, inverse, self.counts)
        return {int(b): int(n) for b, n in zip(values, totals, strict=True)}

    def log_partition(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Log of the sum of exp(-E / T) over all 2^V states."""
        energy, weights = self._weights(T, J, h)
        return float(np.log(weights.sum()) - energy.min() / T)

    def energy(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Mean of E."""
        energy, weights = self._weights(T, J, h)
        return float(np.average(energy, weights=weights))

    def heat_capacity(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Derivative of the mean of E in T, Var(E) / T^2."""
        energy, weights = self._weights(T, J, h)
        deviation = energy - np.average(energy, weights=weights)
        return float(np.average(deviation**2, weights=weights)) / T**2

    def bond_sum(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Mean of B."""
        _, weights = self._weights(T, J, h)
        return float(np.average(self.bond_sums, weights=weights))

    def magnetisation(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Mean of m; 0 at h = 0."""
        return self._moment(self._per_site(), T, J, h)

    def absolute_magnetisation(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Mean of |m|."""
        return self._moment(np.abs(self._per_site()), T, J, h)

    def magnetisation_square(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Mean of m^2."""
        return self._moment(self._per_site() ** 2, T, J, h)

    def magnetisation_fourth(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Mean of m^4."""
        return self._moment(self._per_site() ** 4, T, J, h)

    def binder_cumulant(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """1 - <m^4> / (3 <m^2>^2).

        References:
            Binder, Z. Phys. B 43, 119 (1981).
        """
        square = self.magnetisation_square(T, J, h)
        return 1 - self.magnetisation_fourth(T, J, h) / (3 * square**2)

    def susceptibility(self, T: float, J: float = 1.0, h: float = 0.0) -> float:
        """Derivative of the mean of M in h, Var(M) / T."""
        _, weights = self._weights(T, J, h)
        deviation = self.magnetisations - np.average(self.magnetisations, weights=weights)
        return float(np.average(deviation**2, weights=weights)) / T

    def _per_site(self) -> np.ndarray:
        return self.magnetisations / self.n_sites

    def _moment(self, values: np.ndarray, T: float, J: float, h: float) -> float:
        _, weights = self._weights(T, J, h)
        return float(np.average(values, weights=weights))

    def _weights(self, T: float, J: float, h: float) -> tuple[np.ndarray, np.ndarray]:
        """Energy of every class, and g exp(-(E - E_min) / T)."""
        check_ising(T, J, h)
        energy = -J * self.bond_sums - h * self.magnetisations
        return energy, self.counts * np.exp((energy.min() - energy) / T)


def enumerate_ising(shape: Sequence[int]) -> IsingStates:
    """Count the states of every bond sum and magnetisation.

    A Gray code visits the states with the last spin up, one flip after another; reversing all
    spins gives the others. 25 sites take about a second.

    Args:
        shape: Lengths of the lattice, at most 25 sites in all.

    Returns:
        The counts.

    Raises:
        ValueError: The lattice has more than 25 sites.
    """
    lengths = check_lattice(shape)
    if math.prod(lengths) > MAX_SITES:
        raise ValueError(f"shape: expected at most {MAX_SITES} sites, got {math.prod(lengths)}")
    n_bonds, n_spins = len(lengths) * math.prod(lengths), math.prod(lengths)
    half = np.zeros((2 * n_bonds + 1, 2 * n_spins + 1), dtype=np.int64)
    _count_half(neighbour_table(lengths).astype(np.int64), half)
    both = half + half[:, ::-1]
    rows, columns = np.nonzero(both)
    arrays = (rows - n_bonds, columns - n_spins, both[rows, columns])
    for array in arrays:
        array.setflags(write=False)
    return IsingStates(lengths, *arrays)


@njit
def _count_half(neighbours: np.ndarray, counts: np.ndarray) -> None:
    """Add every state with the last spin up to counts[B + V d, M + V]."""
    n, n_neighbours = neighbours.shape
    n_bonds = n * n_neighbours // 2
    spins = np.ones(n, dtype=np.int64)
    bond_sum, magnetisation = n_bonds, n
    counts[bond_sum + n_bonds, magnetisation + n] += 1
    for step in range(1, 2 ** (n - 1)):
        site, rest = 0, step
        while rest % 2 == 0:
            rest //= 2
            site += 1
        local = 0
        for j in range(n_neighbours):
            local += spins[neighbours[site, j]]
        bond_sum -= 2 * spins[site] * local
        magnetisation -= 2 * spins[site]
        spins[site] = -spins[site]
        counts[bond_sum + n_bonds, magnetisation + n] += 1
