"""Forces on listed bonds, angles and torsions."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import openmm
import torch
from torch import Tensor

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression
from systems.molecules.force_field.geometry import Vector
from systems.molecules.force_field.reading import (
    Context,
    Numbers,
    parameter_names,
    plain,
)
from systems.molecules.force_field.tables import SplineTable
from systems.molecules.force_field.terms import Constants, Interactions, Term, Vectors


@dataclass(frozen=True)
class Coordinate:
    """What an interaction depends on: its name in expressions, and a function of bond vectors.

    Args:
        name: "r" or "theta".
        pairs: Which two atoms of an interaction each vector joins.
        measure: From these vectors to values (M, B).
    """

    name: str
    pairs: tuple[tuple[int, int], ...]
    measure: Callable[..., Tensor]

    def vectors(self, atoms: Sequence[Sequence[int]] | np.ndarray) -> list[Vectors]:
        """The vectors of interactions of atoms, (M, 2 to 4)."""
        rows = np.asarray(atoms, dtype=np.int64)
        return [Vectors(rows[:, end], rows[:, start]) for start, end in self.pairs]


_DISTANCE = Coordinate("r", ((0, 1),), geometry.norm)
_ANGLE = Coordinate("theta", ((1, 0), (1, 2)), geometry.angle)
_TORSION = Coordinate("theta", ((0, 1), (1, 2), (2, 3)), geometry.torsion)


class Listed(Interactions):
    """Sum over interactions of an expression of one distance, angle or torsion.

    Args:
        coordinate: The coordinate.
        atoms: Atoms of each interaction, shape (M, 2 to 4).
        expression: Of the coordinate, the parameters and the globals.
        parameters: Each (M,).
        numbers: Global parameters.
    """

    def __init__(
        self,
        coordinate: Coordinate,
        atoms: Sequence[Sequence[int]],
        expression: Expression,
        parameters: Mapping[str, Sequence[float]],
        numbers: Numbers,
    ) -> None:
        super().__init__(*coordinate.vectors(atoms))
        self.coordinate, self.expression = coordinate, expression
        self.constants, self.numbers = Constants(parameters), dict(numbers)

    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each interaction."""
        value = self.coordinate.measure(*vectors)
        values = {**self.numbers, **self.constants.like(value), self.coordinate.name: value}
        return self.expression(values, like=value).expand_as(value)


def _listed(
    coordinate: Coordinate,
    atoms: Sequence[Sequence[int]],
    text: str,
    parameters: Mapping[str, Sequence[float]],
    context: Context,
) -> list[Term]:
    return [Listed(coordinate, atoms, Expression(text), parameters, context.numbers)]


def harmonic_bond(force: openmm.HarmonicBondForce, context: Context) -> list[Term]:
    """Harmonic in r: k (r - r0)^2 / 2."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    parameters = {"r0": plain(row[2] for row in rows), "k": plain(row[3] for row in rows)}
    text = "0.5*k*(r-r0)^2"
    return _listed(_DISTANCE, [row[:2] for row in rows], text, parameters, context)


def harmonic_angle(force: openmm.HarmonicAngleForce, context: Context) -> list[Term]:
    """Harmonic in theta: k (theta - theta0)^2 / 2."""
    rows = [force.getAngleParameters(k) for k in range(force.getNumAngles())]
    parameters = {"theta0": plain(row[3] for row in rows), "k": plain(row[4] for row in rows)}
    text = "0.5*k*(theta-theta0)^2"
    return _listed(_ANGLE, [row[:3] for row in rows], text, parameters, context)


class FourierTorsions(Interactions):
    """Sum over torsions of a series in cosines and sines, without any angle.

    Args:
        atoms: Atoms of the torsions, (M, 4).
        cosines: Coefficients of cos(n theta), n from 0 on, shape (N + 1, M).
        sines: Coefficients of sin(n theta), shape (N + 1, M).
    """

    def __init__(
        self, atoms: Sequence[Sequence[int]], cosines: np.ndarray, sines: np.ndarray
    ) -> None:
        super().__init__(*_TORSION.vectors(atoms))
        self.cosines, self.sines = (
            Constants({str(n): row for n, row in enumerate(rows)}) for rows in (cosines, sines)
        )
        self.has_sine = bool((sines != 0).any())

    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each torsion, by the recurrence of Chebyshev."""
        cosine, sine = geometry.direction(*vectors)
        now, before = (torch.ones_like(cosine), torch.zeros_like(cosine)), (cosine, -sine)
        total = torch.zeros_like(cosine)
        of_cosines, of_sines = self.cosines.like(cosine), self.sines.like(cosine)
        for n in of_cosines:
            total = total + of_cosines[n] * now[0]
            if self.has_sine:
                total = total + of_sines[n] * now[1]
            now, before = (
                (2 * cosine * now[0] - before[0], 2 * cosine * now[1] - before[1]), now
            )  # fmt: skip
        return total


def periodic_torsion(force: openmm.PeriodicTorsionForce, context: Context) -> list[Term]:
    """Periodic in theta: k (1 + cos(n theta - theta0)), terms of the same atoms together."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    torsions = sorted({tuple(row[:4]) for row in rows})
    number = {atoms: m for m, atoms in enumerate(torsions)}
    highest = max(int(row[4]) for row in rows)
    cosines, sines = np.zeros((2, highest + 1, len(torsions)))
    for row in rows:
        m, n = number[tuple(row[:4])], int(row[4])
        theta0, k = plain(row[5:])
        cosines[0, m] += k
        cosines[n, m] += k * math.cos(theta0)
        sines[n, m] += k * math.sin(theta0)
    return [FourierTorsions(torsions, cosines, _without_rounding(sines, cosines))]


def _without_rounding(sines: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Zero where theta0 is 0 or pi but for rounding."""
    return np.where(np.abs(sines) < 1e-13 * np.abs(cosines), 0.0, sines)


def ryckaert_bellemans(force: openmm.RBTorsionForce, context: Context) -> list[Term]:
    """Sum of c_n cos(theta - pi)^n for n from 0 to 5."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    parameters = {f"c{n}": plain(row[4 + n] for row in rows) for n in range(6)}
    text = "c0+u*(c1+u*(c2+u*(c3+u*(c4+u*c5)))); u=-cos(theta)"
    return _listed(_TORSION, [row[:4] for row in rows], text, parameters, context)


class TorsionMap(Interactions):
    """CMAP: a periodic bicubic spline of two torsions.

    Args:
        table: The map.
        first: Atoms of the first torsions, (M, 4).
        second: Those of the second ones.
    """

    def __init__(
        self, table: SplineTable, first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]
    ) -> None:
        super().__init__(*_TORSION.vectors(first), *_TORSION.vectors(second))
        self.table = table

    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each interaction."""
        return self.table(geometry.torsion(*vectors[:3]), geometry.torsion(*vectors[3:]))


def torsion_map(force: openmm.CMAPTorsionForce, context: Context) -> list[Term]:
    """All CMAP terms of a force."""
    del context
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    terms: list[Term] = []
    for k in range(force.getNumMaps()):
        own = [row for row in rows if row[0] == k]
        if own:
            size, energy = force.getMapParameters(k)
            grid = np.array(plain(energy)).reshape(size, size).T  # the first torsion runs fastest
            closed = np.pad(grid, (0, 1), mode="wrap")
            table = SplineTable(closed, [(0.0, 2 * math.pi)] * 2, periodic=True)
            first, second = ([row[k : k + 4] for row in own] for k in (1, 5))
            terms.append(TorsionMap(table, first, second))
    return terms


def custom_bond(force: openmm.CustomBondForce, context: Context) -> list[Term]:
    """An expression of r."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    return _custom(_DISTANCE, force, [r[:2] for r in rows], [r[2] for r in rows], context)


def custom_angle(force: openmm.CustomAngleForce, context: Context) -> list[Term]:
    """An expression of theta."""
    rows = [force.getAngleParameters(k) for k in range(force.getNumAngles())]
    return _custom(_ANGLE, force, [r[:3] for r in rows], [r[3] for r in rows], context)


def custom_torsion(force: openmm.CustomTorsionForce, context: Context) -> list[Term]:
    """An expression of theta in (-pi, pi]."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    return _custom(_TORSION, force, [r[:4] for r in rows], [r[4] for r in rows], context)


def _custom(
    coordinate: Coordinate,
    force: openmm.Force,
    atoms: Sequence[Sequence[int]],
    values: Sequence[Sequence[float]],
    context: Context,
) -> list[Term]:
    return _listed(coordinate, atoms, force.getEnergyFunction(), columns(force, values), context)


def columns(force: openmm.Force, values: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Parameters by name from those of each interaction."""
    return {name: [row[k] for row in values] for k, name in enumerate(parameter_names(force))}
