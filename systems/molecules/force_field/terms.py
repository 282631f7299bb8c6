"""What every part of a force field is, and the constants it keeps.

The batch is the innermost axis throughout, and nothing is gathered: vectors between listed atoms
are products with incidence matrices, pairs are whole matrices. So the derivative of every step is
a product or a sum, never a scatter, and a compiler can fuse what lies between.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set

import numpy as np
import torch
from torch import Tensor, nn

Pairs = Set[tuple[int, int]]


class Term(nn.Module, ABC):
    """One force of a System: its energy at many configurations."""

    needs_distances = False

    @abstractmethod
    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy in kJ/mol.

        Args:
            x: Positions in nm, shape (3, n_atoms, B).
            r: Distances of all pairs in nm, 1 on the diagonal, shape (n_atoms, n_atoms, B); empty
                unless some term of the force field needs them.

        Returns:
            Shape (B,).
        """


class Combinations(nn.Module):
    """Linear combinations of positions, such as the vectors along a list of bonds.

    Args:
        rows: Weights of the atoms, shape (M, n_atoms).
    """

    rows: Tensor

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(np.asarray(rows, dtype=np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        """Combine: (3, n_atoms, B) -> (3, M, B).

        Raises:
            ValueError: torch is set to round the products of float32 matrices on this device.
        """
        if x.is_cuda and x.dtype == torch.float32:
            precision = torch.get_float32_matmul_precision()
            if precision != "highest":
                raise ValueError(
                    "torch.set_float32_matmul_precision: expected 'highest' for energies, got "
                    f"{precision!r}: positions would be rounded to three digits"
                )
        return self.rows.to(x.dtype) @ x


def selected(atoms: Sequence[int] | np.ndarray, n_atoms: int) -> np.ndarray:
    """Rows that pick atoms: (M,) -> (M, n_atoms)."""
    return np.eye(n_atoms)[np.asarray(atoms, dtype=np.int64)]


def vectors(pairs: Sequence[Sequence[int]] | np.ndarray, n_atoms: int) -> Combinations:
    """Vectors from the first to the second atom of each pair, (M, 2)."""
    first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    return Combinations(selected(second, n_atoms) - selected(first, n_atoms))


class Constants(nn.Module):
    """Parameters by name, kept in float64, with a last axis of length one for the batch.

    Args:
        values: Each of shape (M,) or (n, n).
    """

    def __init__(self, values: Mapping[str, Sequence[float] | np.ndarray]) -> None:
        super().__init__()
        self.names = tuple(values)
        for name, numbers in values.items():
            array = np.array(numbers, dtype=np.float64)[..., None]
            self.register_buffer(f"_{name}", torch.from_numpy(array))

    def like(self, x: Tensor) -> dict[str, Tensor]:
        """All constants, (M, 1) or (n, n, 1), in the dtype of x."""
        return {name: self.get_buffer(f"_{name}").to(x.dtype) for name in self.names}


class PairMask(nn.Module):
    """Which ordered pairs of atoms count, and how often.

    Args:
        counts: Shape (n, n); the diagonal is 0.
    """

    counts: Tensor
    used: Tensor

    def __init__(self, counts: np.ndarray) -> None:
        super().__init__()
        array = np.array(counts, dtype=np.float64)[..., None]
        self.register_buffer("counts", torch.from_numpy(array))
        self.register_buffer("used", self.counts != 0)
        self.is_simple = bool((self.counts <= 1).all())

    def within(self, r: Tensor, cutoff: float | None) -> tuple[Tensor, Tensor]:
        """Which pairs count at these distances, and distances that are harmless where none does.

        What an expression does at a pair that does not count then reaches neither the energy nor,
        through r, the forces.
        """
        if cutoff is None:
            return self.used, torch.where(self.used, r, 1.0)
        near = self.used & (r <= cutoff)
        return near, torch.where(near, r, 0.5 * cutoff)

    def only(self, near: Tensor, energy: Tensor) -> Tensor:
        """Energies of the pairs that count, times how often; 0 for the others."""
        kept = torch.where(near, energy, 0.0)
        return kept if self.is_simple else kept * self.counts.to(energy.dtype)


class Sum(Term):
    """Several terms that are one force of OpenMM."""

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.needs_distances = any(term.needs_distances for term in terms)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Sum of their energies."""
        return torch.stack([term(x, r) for term in self.terms]).sum(0)


def upper(n_atoms: int, excluded: Pairs) -> np.ndarray:
    """Counts of pairs i < j but for the excluded ones, given in either order."""
    counts = np.triu(np.ones((n_atoms, n_atoms)), 1)
    return np.where(_listed(n_atoms, excluded), 0.0, counts)


def ordered(n_atoms: int, excluded: Pairs) -> np.ndarray:
    """Counts of pairs i != j but for the excluded ones, given in either order."""
    counts = 1 - np.eye(n_atoms)
    return np.where(_listed(n_atoms, excluded), 0.0, counts)


def _listed(n_atoms: int, pairs: Pairs) -> np.ndarray:
    found = np.zeros((n_atoms, n_atoms), dtype=bool)
    if pairs:
        i, j = np.array(sorted(pairs)).T
        found[i, j] = found[j, i] = True
    return found
