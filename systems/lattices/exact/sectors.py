"""Symmetric operators on a finite set, split by commuting involutions, and traces of their powers.

A transfer operator commutes with the symmetries of a slice of the lattice. Reversing the signs of
a field or reflecting the slice are involutions; under m of them the matrix falls into 2^m blocks,
each far cheaper to diagonalise.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from systems.lattices.exact.errors import CancellationError

_LEAST_TRACE = 1e-7

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Sector:
    """The part of the space in which every involution acts as +1 or -1.

    Args:
        signs: That sign for every involution.
        orbits: Indices of the orbits of points on which a function of this kind can differ from 0.
        values: Eigenvalues of the operator in units of the largest, shape (r,).
        vectors: Orthonormal eigenvectors in columns, one row for every orbit, (n_orbits, r).
    """

    signs: tuple[int, ...]
    orbits: np.ndarray
    values: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class TraceDerivatives:
    """First and second logarithmic derivative of tr(A^N) in a parameter of A."""

    first: float
    second: float


class Spectrum:
    """Eigenvalues and eigenvectors of a symmetric matrix A[p, q] of points p and q.

    The eigenvalue of largest modulus must be positive, as it is if all entries are.

    Args:
        kernel: Entries of A for two broadcasting arrays of points.
        n_points: Number of points.
        involutions: Permutations of the points that square to one, commute, and leave A unchanged.
    """

    def __init__(self, kernel: Kernel, n_points: int, involutions: Sequence[np.ndarray]) -> None:
        self._group = _products(n_points, involutions)
        images = np.stack([permutation for _, permutation in self._group])
        self.points = np.unique(images.min(axis=0))
        """One point of every orbit; functions of points below are given at these."""
        self._fixed = images[:, self.points] == self.points
        decomposed = [
            self._decompose(kernel_block, signs)
            for signs, kernel_block in self._blocks(kernel, self._all_signs(len(involutions)))
        ]
        largest = max(float(np.abs(sector.values).max(initial=0.0)) for sector in decomposed)
        self.log_largest = math.log(largest)
        self.sectors = [
            Sector(s.signs, s.orbits, s.values / largest, s.vectors) for s in decomposed
        ]

    def log_trace(self, power: int) -> float:
        """Log of tr(A^N)."""
        return power * self.log_largest + math.log(self._scaled_trace(power))

    def gap(self) -> float:
        """Log of the ratio of the two eigenvalues of largest modulus."""
        moduli = np.sort(np.abs(np.concatenate([s.values for s in self.sectors])))
        return float(-np.log(moduli[-2]))

    def ground(self) -> Sector:
        """The leading eigenvector alone, as a sector with one eigenvalue."""
        sector = max(self.sectors, key=lambda s: s.values.max(initial=-np.inf))
        best = int(sector.values.argmax())
        keep = slice(best, best + 1)
        return Sector(sector.signs, sector.orbits, sector.values[keep], sector.vectors[:, keep])

    def mean(self, function: np.ndarray, power: int) -> float:
        """tr(F A^N) / tr(A^N) for a diagonal F.

        Args:
            function: Diagonal of F at `points`, invariant under every involution.
            power: N.

        Returns:
            The mean of F over one slice of N.
        """
        total = 0.0
        for sector in self.sectors:
            diagonal = np.einsum("oi,oi,o->i", sector.vectors, sector.vectors, function)
            total += float(np.sum(diagonal * sector.values**power))
        return total / self._scaled_trace(power)

    def correlator(self, function: np.ndarray, signs: Sequence[int], power: int) -> np.ndarray:
        """tr(F A^r F A^(N - r)) / tr(A^N) for r = 0 .. N - 1.

        Args:
            function: Diagonal of F at `points`.
            signs: Factor that F takes under every involution, +1 or -1.
            power: N.

        Returns:
            Shape (N,).
        """
        by_signs = {sector.signs: sector for sector in self.sectors}
        found = np.zeros(power)
        for left in self.sectors:
            right = by_signs[tuple(a * b for a, b in zip(left.signs, signs, strict=True))]
            squares = (left.vectors.T @ (function[:, None] * right.vectors)) ** 2
            for r in range(power):
                found[r] += left.values ** (power - r) @ squares @ right.values**r
        return found / self._scaled_trace(power)

    def kernel_mean(self, kernel: Kernel, power: int) -> float:
        """tr(A' A^(N - 1)) / tr(A^N), with A' as invariant as A.

        Args:
            kernel: Entries of A'.
            power: N.
        """
        total = 0.0
        for sector, matrix in self._matrices(kernel):
            inside = sector.vectors[sector.orbits]
            diagonal = np.einsum("oi,oi->i", inside, matrix @ inside)
            total += float(np.sum(diagonal * sector.values ** (power - 1)))
        return total / self._scaled_trace(power)

    def ground_kernel_mean(self, kernel: Kernel) -> float:
        """<0| A' |0> / lambda_0, the limit of `kernel_mean` at infinite power."""
        ground = self.ground()
        ((_, block),) = self._blocks(kernel, [ground.signs])
        vector = ground.vectors[ground.orbits, 0]
        return float(vector @ self._restrict(block, ground.orbits) @ vector) / self._scale

    def derivatives(self, first: Kernel, second: Kernel, power: int) -> TraceDerivatives:
        """Derivatives of log tr(A^N) in a parameter, from those of A, as invariant as A.

        (tr A^N)' = N tr(A' A^(N - 1)) and (tr A^N)'' = N tr(A'' A^(N - 1)) +
        N sum_r tr(A' A^r A' A^(N - 2 - r)) with r = 0 .. N - 2.

        Args:
            first: Entries of A'.
            second: Entries of A''.
            power: N.
        """
        slope = power * self.kernel_mean(first, power)
        total = 0.0
        for sector, matrix in self._matrices(first):
            inside = sector.vectors[sector.orbits]
            squares = (inside.T @ matrix @ inside) ** 2
            for r in range(power - 1):
                total += float(sector.values**r @ squares @ sector.values ** (power - 2 - r))
        curvature = power * (self.kernel_mean(second, power) + total / self._scaled_trace(power))
        return TraceDerivatives(slope, curvature - slope**2)

    @property
    def _scale(self) -> float:
        return math.exp(self.log_largest)

    def _scaled_trace(self, power: int) -> float:
        """Trace of (A / lambda_0)^N; at least 1 but for negative eigenvalues at odd N."""
        trace = float(sum(np.sum(sector.values**power) for sector in self.sectors))
        if trace < _LEAST_TRACE:
            raise CancellationError(
                f"tr(A^{power}): eigenvalues of opposite signs cancel to {trace} of the largest;"
                " fewer digits than claimed would be left"
            )
        return trace

    def _all_signs(self, n: int) -> list[tuple[int, ...]]:
        return list(itertools.product((1, -1), repeat=n))

    def _character(self, signs: tuple[int, ...]) -> np.ndarray:
        """Factor of every group element in the sector."""
        pairs = [zip(signs, word, strict=True) for word, _ in self._group]
        return np.array([math.prod(s for s, used in pair if used) for pair in pairs])

    def _blocks(
        self, kernel: Kernel, all_signs: Sequence[tuple[int, ...]]
    ) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """For every sector the sum over the group of the character times A[p, g q]."""
        rows = self.points[:, None]
        parts = [kernel(rows, permutation[self.points][None, :]) for _, permutation in self._group]
        found = []
        for signs in all_signs:
            block = np.zeros((len(self.points), len(self.points)))
            for factor, part in zip(self._character(signs), parts, strict=True):
                block += factor * part
            found.append((signs, block))
        return found

    def _restrict(self, block: np.ndarray, orbits: np.ndarray) -> np.ndarray:
        """Matrix between the normalised functions of these orbits.

        That of orbit p is the sum over the group of its character times the point g p, over
        sqrt(|group| |stabiliser of p|).
        """
        norm = 1 / np.sqrt(self._fixed[:, orbits].sum(axis=0))
        return norm[:, None] * block[np.ix_(orbits, orbits)] * norm

    def _decompose(self, block: np.ndarray, signs: tuple[int, ...]) -> Sector:
        """Eigenvectors of one block; a row of `vectors` of an absent orbit is zero."""
        character = self._character(signs)
        orbits = np.flatnonzero((self._fixed * character[:, None]).sum(axis=0) > 0)
        values, inside = np.linalg.eigh(self._restrict(block, orbits))
        vectors = np.zeros((len(self.points), len(values)))
        vectors[orbits] = inside
        return Sector(signs, orbits, values, vectors)

    def _matrices(self, kernel: Kernel) -> list[tuple[Sector, np.ndarray]]:
        """A' / lambda_0 in every sector, between its orbits."""
        all_signs = [sector.signs for sector in self.sectors]
        return [
            (sector, self._restrict(block, sector.orbits) / self._scale)
            for sector, (_, block) in zip(
                self.sectors, self._blocks(kernel, all_signs), strict=True
            )
        ]


def _products(
    n_points: int, involutions: Sequence[np.ndarray]
) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """All products of the involutions: which of them are used, and the permutation."""
    found = []
    for word in itertools.product((0, 1), repeat=len(involutions)):
        permutation = np.arange(n_points)
        for used, involution in zip(word, involutions, strict=True):
            permutation = involution[permutation] if used else permutation
        found.append((word, permutation))
    return found
