"""What every part of a force field is, and the constants it keeps.

The batch is the innermost axis throughout. A term measures quantities of the positions (vectors
between listed atoms, squared distances), has an energy as a function of these, and carries the
derivative in them back to the atoms itself: each atom collects what concerns it. So neither
direction ever scatters, and a compiler can fuse what lies between.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set

import numpy as np
import torch
from torch import Tensor, nn

Pairs = Set[tuple[int, int]]
Quantities = tuple[Tensor, ...]


class Term(nn.Module, ABC):
    """One force of a System: its energy at many configurations."""

    n_quantities = 1
    is_large = False

    @abstractmethod
    def measure(self, x: Tensor) -> Quantities:
        """Quantities of positions x (3, n_atoms, B), in nm, on which alone the energy depends."""

    @abstractmethod
    def energy(self, quantities: Quantities) -> Tensor:
        """Energy in kJ/mol, (B,)."""

    @abstractmethod
    def carry_back(self, x: Tensor, slopes: Quantities) -> Tensor:
        """Derivative in positions, (3, n_atoms, B), from that in each quantity."""

    def forward(self, x: Tensor) -> Tensor:
        """Energy at positions x (3, n_atoms, B): kJ/mol, (B,)."""
        return self.energy(self.measure(x))


class Vectors(nn.Module):
    """Vectors between listed atoms, or their positions.

    Args:
        ends: Atoms at the end of each vector, (M,).
        starts: Atoms at its start, (M,); None for positions.
        n_atoms: Of the whole system.
    """

    ends: Tensor
    starts: Tensor
    place: Tensor
    sign: Tensor

    def __init__(
        self, ends: Sequence[int] | np.ndarray, starts: Sequence[int] | np.ndarray | None,
        n_atoms: int,
    ) -> None:  # fmt: skip
        super().__init__()
        end = np.asarray(ends, dtype=np.int64)
        start = np.full(len(end), -1) if starts is None else np.asarray(starts, dtype=np.int64)
        self.from_origin, self.n_atoms = starts is None, n_atoms
        self.register_buffer("ends", torch.from_numpy(end))
        self.register_buffer("starts", torch.from_numpy(start))
        place, sign = _concerned(end, start, n_atoms)
        self.register_buffer("place", torch.from_numpy(place))
        self.register_buffer("sign", torch.from_numpy(sign))

    def forward(self, x: Tensor) -> Tensor:
        """Measure: (3, n_atoms, B) -> (3, M, B)."""
        return x[:, self.ends] if self.from_origin else x[:, self.ends] - x[:, self.starts]

    def carry_back(self, slope: Tensor) -> Tensor:
        """Derivative in positions, (3, n_atoms, B), from that in the vectors, (3, M, B)."""
        return (slope[:, self.place] * self.sign.to(slope.dtype)).sum(1)


def _concerned(ends: np.ndarray, starts: np.ndarray, n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """For each atom the vectors that touch it, (L, n), and with which sign, (L, n, 1); 0 fills."""
    rows: list[list[tuple[int, int]]] = [[] for _ in range(n_atoms)]
    for number, (end, start) in enumerate(zip(ends.tolist(), starts.tolist(), strict=True)):
        rows[end].append((number, 1))
        if start >= 0:
            rows[start].append((number, -1))
    longest = max(map(len, rows))
    place = np.zeros((longest, n_atoms), dtype=np.int64)
    sign = np.zeros((longest, n_atoms, 1))
    for atom, row in enumerate(rows):
        for k, (number, one) in enumerate(row):
            place[k, atom], sign[k, atom] = number, one
    return place, sign


class SquaredDistances(nn.Module):
    """Squared distances of listed pairs of atoms.

    Args:
        pairs: Shape (M, 2).
        n_atoms: Of the whole system.
    """

    def __init__(self, pairs: np.ndarray, n_atoms: int) -> None:
        super().__init__()
        first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
        self.vectors = Vectors(second, first, n_atoms)

    def forward(self, x: Tensor) -> Tensor:
        """Measure: (3, n_atoms, B) -> (M, B), in nm^2."""
        v = self.vectors(x)
        return v[0] * v[0] + v[1] * v[1] + v[2] * v[2]

    def carry_back(self, x: Tensor, slope: Tensor) -> Tensor:
        """Derivative in positions, (3, n_atoms, B), from that in the squares, (M, B)."""
        return self.vectors.carry_back(2 * slope * self.vectors(x))


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


def within(r: Tensor, cutoff: float | None) -> tuple[Tensor | None, Tensor]:
    """Which pairs are near enough (None for all), and distances that are harmless where not.

    What an expression does at a pair that does not count then reaches neither the energy nor,
    through r, the forces.
    """
    if cutoff is None:
        return None, r
    near = r <= cutoff
    return near, torch.where(near, r, 0.5 * cutoff)


def only(near: Tensor | None, energy: Tensor) -> Tensor:
    """Energies of the pairs that count; 0 for the others."""
    return energy if near is None else torch.where(near, energy, 0.0)
