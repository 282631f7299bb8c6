"""What every part of a force field is, and the constants it keeps.

The batch is the innermost axis throughout, and the three components of a vector are three tensors.
A term depends on the positions through vectors between listed atoms; its derivative in these is
carried back to the atoms for all terms together (`Incidence`): each atom collects what concerns it.
So neither direction ever scatters, and a compiler can fuse what lies between.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from systems.molecules.force_field.geometry import Vector

Rows = list[Tensor]
Argument = TypeVar("Argument", Tensor, Vector)
Kind = TypeVar("Kind", bound=nn.Module)


class Vectors(nn.Module):
    """Vectors between listed atoms, or their positions.

    Args:
        ends: Atoms at the end of each vector, (M,).
        starts: Atoms at its start, (M,); None for positions.
    """

    ends: Tensor
    starts: Tensor

    def __init__(
        self, ends: Sequence[int] | np.ndarray, starts: Sequence[int] | np.ndarray | None = None
    ) -> None:
        super().__init__()
        end = np.array(ends, dtype=np.int64)
        start = np.full(len(end), -1) if starts is None else np.array(starts, dtype=np.int64)
        self.from_origin = starts is None
        self.register_buffer("ends", torch.from_numpy(end))
        self.register_buffer("starts", torch.from_numpy(start))

    def forward(self, x: Vector) -> Vector:
        """Measure: components of the positions, each (n_atoms, B) -> (M, B)."""
        if self.from_origin:
            return x[0][self.ends], x[1][self.ends], x[2][self.ends]
        first, second, third = (part[self.ends] - part[self.starts] for part in x)
        return first, second, third


def pair_vectors(pairs: np.ndarray) -> Vectors:
    """Vectors from the first to the second atom of pairs, (M, 2)."""
    first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    return Vectors(second, first)


def members(modules: nn.ModuleList, kind: type[Kind]) -> list[Kind]:
    """The modules of a list that are of a kind, typed as such."""
    return [module for module in modules if isinstance(module, kind)]


class Term(nn.Module, ABC):
    """One force of a System: its energy at many configurations.

    Args:
        vectors: What the energy depends on.
    """

    def __init__(self, *vectors: Vectors) -> None:
        super().__init__()
        self.vectors = nn.ModuleList(vectors)

    def measure(self, x: Vector) -> tuple[Vector, ...]:
        """The vectors on which the energy depends, in nm."""
        return tuple(own(x) for own in members(self.vectors, Vectors))

    def forward(self, x: Vector) -> Tensor:
        """Energy in kJ/mol at positions x, each (n_atoms, B): (B,)."""
        return self.energy(*self.measure(x))

    @abstractmethod
    def energy(self, *vectors: Vector) -> Tensor:
        """Energy in kJ/mol, (B,)."""

    @abstractmethod
    def slopes(self, *vectors: Vector) -> tuple[Rows, list[Vector]]:
        """Energies whose sum it is, each (some, B), and the derivative in each of the vectors."""


class Interactions(Term):
    """A term that is a plain sum over interactions."""

    @abstractmethod
    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each interaction, kJ/mol: (M, B)."""

    def energy(self, *vectors: Vector) -> Tensor:
        """Energy in kJ/mol, (B,)."""
        return self.energies(*vectors).sum(0)

    def slopes(self, *vectors: Vector) -> tuple[Rows, list[Vector]]:
        """Energies of the interactions, and the derivative in each of the vectors."""
        rows, slopes = with_slopes(self.energies, *vectors)
        return [rows], list(slopes)


def with_slopes(
    function: Callable[..., Tensor], *arguments: Argument
) -> tuple[Tensor, tuple[Argument, ...]]:
    """A function that acts on each element of its arguments alone, and its partial derivatives."""
    if not arguments:
        return function(), ()

    def total(*values: Argument) -> tuple[Tensor, Tensor]:
        found = function(*values)
        return found.sum(), found

    slopes, found = torch.func.grad(total, tuple(range(len(arguments))), has_aux=True)(*arguments)
    return found, slopes


class Incidence(nn.Module):
    """For each of some items, the sum of the rows of a list that concern it.

    Rows are first added up in pieces of one length, as many as an item needs, where that saves
    work.

    Args:
        concerned: For each item the numbers of its rows, with the factor of each.
    """

    def __init__(self, concerned: Sequence[Sequence[tuple[int, float]]]) -> None:
        super().__init__()
        longest = max(map(len, concerned), default=0)
        length = min(range(1, longest + 1), key=lambda n: _work(concerned, n), default=1)
        levels: list[Sequence[Sequence[tuple[int, float]]]] = [concerned]
        if length < longest:
            pieces: list[Sequence[tuple[int, float]]] = []
            second: list[list[tuple[int, float]]] = []
            for row in concerned:
                own = [row[k : k + length] for k in range(0, len(row), length)]
                second.append([(len(pieces) + k, 1.0) for k in range(len(own))])
                pieces += own
            levels = [pieces, second]
        self.levels = nn.ModuleList(_Level(level) for level in levels)

    def forward(self, rows: Tensor) -> Tensor:
        """Add up: (M, B) -> (items, B)."""
        for number, level in enumerate(members(self.levels, _Level)):
            rows = level(kept(rows) if number else rows)
        return rows


class _Level(nn.Module):
    """Sums over rows, as many for each item; those that are too many count zero times."""

    place: Tensor
    factor: Tensor

    def __init__(self, concerned: Sequence[Sequence[tuple[int, float]]]) -> None:
        super().__init__()
        place = np.zeros((max(map(len, concerned), default=0), len(concerned)), dtype=np.int64)
        factor = np.zeros((*place.shape, 1))
        for item, row in enumerate(concerned):
            for k, (number, one) in enumerate(row):
                place[k, item], factor[k, item] = number, one
        self.plain = bool((factor == 1).all())
        self.register_buffer("place", torch.from_numpy(place))
        self.register_buffer("factor", torch.from_numpy(factor))

    def forward(self, rows: Tensor) -> Tensor:
        found = rows[self.place]
        if not self.plain:
            factor = self.factor.to(rows.dtype)
            found = torch.where(factor != 0, found * factor, 0.0)  # what fills up may be infinite
        return found.sum(0)


def _work(concerned: Sequence[Sequence[object]], length: int) -> int:
    """Rows read if they are added up in pieces of a length."""
    pieces = [-(-len(row) // length) for row in concerned]
    most = max(pieces)
    return length * len(pieces) if most <= 1 else length * sum(pieces) + (most + 1) * len(pieces)


def collected(groups: Sequence[int] | np.ndarray, count: int) -> Incidence:
    """For each of `count` items the sum of the rows that belong to it.

    Args:
        groups: The item of each row, (M,).
        count: Number of items.
    """
    concerned: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for number, item in enumerate(np.asarray(groups).tolist()):
        concerned[item].append((number, 1.0))
    return Incidence(concerned)


def at_atoms(vectors: Sequence[Vectors], n_atoms: int) -> Incidence:
    """Derivatives in positions, (n_atoms, B), from those in vectors one after the other, (M, B)."""
    concerned: list[list[tuple[int, float]]] = [[] for _ in range(n_atoms)]
    ends = [atom for own in vectors for atom in own.ends.tolist()]
    starts = [atom for own in vectors for atom in own.starts.tolist()]
    for number, (end, start) in enumerate(zip(ends, starts, strict=True)):
        concerned[end].append((number, 1.0))
        if start >= 0:
            concerned[start].append((number, -1.0))
    return Incidence(concerned)


def kept(x: Tensor) -> Tensor:
    """The same values, which a compiler is to store: it would else work them out at each use."""
    if not torch.compiler.is_compiling():
        return x
    x = x.contiguous()
    return x.as_strided(x.shape, x.stride())


class Constants(nn.Module):
    """Parameters by name, kept in float64, with a last axis of length one for the batch.

    Args:
        values: Each of shape (M,).
    """

    def __init__(self, values: Mapping[str, Sequence[float] | np.ndarray]) -> None:
        super().__init__()
        self.names = tuple(values)
        for name, numbers in values.items():
            array = np.array(numbers, dtype=np.float64)[..., None]
            self.register_buffer(f"_{name}", torch.from_numpy(array))

    def like(self, x: Tensor) -> dict[str, Tensor]:
        """All constants, (M, 1), in the dtype of x."""
        return {name: self.get_buffer(f"_{name}").to(x.dtype) for name in self.names}


def at_ends(parameters: Mapping[str, np.ndarray], pairs: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters of atoms at both ends of pairs, (M, 2): name1 and name2 for each name."""
    return {
        f"{name}{k + 1}": values[pairs[:, k]] for name, values in parameters.items() for k in (0, 1)
    }


def within(distance: Tensor, cutoff: float | None) -> tuple[Tensor | None, Tensor]:
    """Which pairs are near enough (None for all), and distances that are harmless where not.

    What an expression does at a pair that does not count then reaches neither the energy nor,
    through the distance, the forces. Both may be squared.
    """
    if cutoff is None:
        return None, distance
    near = ~(distance > cutoff)  # what is not a number counts, and shows
    return near, torch.where(near, distance, 0.5 * cutoff)


def only(near: Tensor | None, energy: Tensor) -> Tensor:
    """Energies of the pairs that count; 0 for the others."""
    return energy if near is None else torch.where(near, energy, 0.0)
