"""Forces on listed bonds, angles, torsions, groups of atoms and single atoms."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Function, Value
from systems.molecules.force_field.reading import (
    Context,
    Numbers,
    parameter_names,
    plain,
    table_functions,
)
from systems.molecules.force_field.tables import SplineTable
from systems.molecules.force_field.terms import (
    Combinations,
    Constants,
    Sum,
    Term,
    selected,
    vectors,
)


@dataclass(frozen=True)
class Coordinate:
    """What an interaction depends on: its name in expressions, and a function of bond vectors.

    Args:
        name: "r" or "theta".
        pairs: Which two atoms of an interaction each vector joins.
        measure: From these vectors, each (3, M, B), to values (M, B).
    """

    name: str
    pairs: tuple[tuple[int, int], ...]
    measure: Callable[..., Tensor]


_DISTANCE = Coordinate("r", ((0, 1),), geometry.norm)
_ANGLE = Coordinate("theta", ((1, 0), (1, 2)), geometry.angle)
_TORSION = Coordinate("theta", ((0, 1), (1, 2), (2, 3)), geometry.torsion)


class Measured(nn.Module):
    """Values of a coordinate at listed atoms.

    Args:
        coordinate: The coordinate.
        atoms: Atoms of each interaction, shape (M, 2 to 4).
        n_atoms: Of the whole system.
    """

    def __init__(
        self, coordinate: Coordinate, atoms: Sequence[Sequence[int]] | np.ndarray, n_atoms: int
    ) -> None:
        super().__init__()
        rows = np.asarray(atoms, dtype=np.int64)
        self._measure = coordinate.measure
        self.n_vectors = len(coordinate.pairs)
        columns = [rows[:, list(pair)] for pair in coordinate.pairs]
        self.all = vectors(np.concatenate(columns), n_atoms)

    def forward(self, x: Tensor) -> Tensor:
        """Measure: (3, n_atoms, B) -> (M, B)."""
        return self._measure(*self.all(x).chunk(self.n_vectors, dim=1))


class Listed(Term):
    """Sum over interactions of an expression of one distance, angle or torsion.

    Args:
        name: Name of the coordinate in the expression.
        measured: Its values.
        expression: Of the coordinate, the parameters and the globals.
        parameters: Each (M,).
        numbers: Global parameters.
    """

    def __init__(
        self,
        name: str,
        measured: Measured,
        expression: Expression,
        parameters: Mapping[str, Sequence[float]],
        numbers: Numbers,
    ) -> None:
        super().__init__()
        self.name, self.measured, self.expression = name, measured, expression
        self.constants, self.numbers = Constants(parameters), dict(numbers)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy of all interactions."""
        del r
        value = self.measured(x)
        values = {**self.numbers, **self.constants.like(x), self.name: value}
        return self.expression(values, like=x).expand_as(value).sum(0)


def _listed(
    coordinate: Coordinate,
    atoms: Sequence[Sequence[int]],
    text: str,
    parameters: Mapping[str, Sequence[float]],
    context: Context,
) -> Listed:
    measured = Measured(coordinate, atoms, context.n_atoms)
    return Listed(coordinate.name, measured, Expression(text), parameters, context.numbers)


def harmonic_bond(force: openmm.HarmonicBondForce, context: Context) -> Term:
    """Harmonic in r: k (r - r0)^2 / 2."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    parameters = {"r0": plain(row[2] for row in rows), "k": plain(row[3] for row in rows)}
    text = "0.5*k*(r-r0)^2"
    return _listed(_DISTANCE, [row[:2] for row in rows], text, parameters, context)


def harmonic_angle(force: openmm.HarmonicAngleForce, context: Context) -> Term:
    """Harmonic in theta: k (theta - theta0)^2 / 2."""
    rows = [force.getAngleParameters(k) for k in range(force.getNumAngles())]
    parameters = {"theta0": plain(row[3] for row in rows), "k": plain(row[4] for row in rows)}
    text = "0.5*k*(theta-theta0)^2"
    return _listed(_ANGLE, [row[:3] for row in rows], text, parameters, context)


def periodic_torsion(force: openmm.PeriodicTorsionForce, context: Context) -> Term:
    """Periodic in theta: k (1 + cos(n theta - theta0))."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    parameters = {
        name: plain(row[4 + k] for row in rows) for k, name in enumerate(("n", "theta0", "k"))
    }
    text = "k*(1+cos(n*theta-theta0))"
    return _listed(_TORSION, [row[:4] for row in rows], text, parameters, context)


def ryckaert_bellemans(force: openmm.RBTorsionForce, context: Context) -> Term:
    """Sum of c_n cos(theta - pi)^n for n from 0 to 5."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    parameters = {f"c{n}": plain(row[4 + n] for row in rows) for n in range(6)}
    text = "c0+u*(c1+u*(c2+u*(c3+u*(c4+u*c5)))); u=-cos(theta)"
    return _listed(_TORSION, [row[:4] for row in rows], text, parameters, context)


class TorsionMap(Term):
    """CMAP: a periodic bicubic spline of two torsions.

    Args:
        table: The map.
        first: The first torsions, M of them.
        second: The second ones.
    """

    def __init__(self, table: SplineTable, first: Measured, second: Measured) -> None:
        super().__init__()
        self.table, self.first, self.second = table, first, second

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy of all interactions."""
        del r
        return self.table(self.first(x), self.second(x)).sum(0)


def torsion_map(force: openmm.CMAPTorsionForce, context: Context) -> Term:
    """All CMAP terms of a force."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    terms = []
    for k in range(force.getNumMaps()):
        own = [row for row in rows if row[0] == k]
        if own:
            size, energy = force.getMapParameters(k)
            grid = np.array(plain(energy)).reshape(size, size).T  # the first torsion runs fastest
            closed = np.pad(grid, (0, 1), mode="wrap")
            table = SplineTable(closed, [(0.0, 2 * math.pi)] * 2, periodic=True)
            first, second = (
                Measured(_TORSION, [row[k : k + 4] for row in own], context.n_atoms) for k in (1, 5)
            )
            terms.append(TorsionMap(table, first, second))
    return Sum(terms)


def custom_bond(force: openmm.CustomBondForce, context: Context) -> Term:
    """An expression of r."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    return _custom(_DISTANCE, force, [r[:2] for r in rows], [r[2] for r in rows], context)


def custom_angle(force: openmm.CustomAngleForce, context: Context) -> Term:
    """An expression of theta."""
    rows = [force.getAngleParameters(k) for k in range(force.getNumAngles())]
    return _custom(_ANGLE, force, [r[:3] for r in rows], [r[3] for r in rows], context)


def custom_torsion(force: openmm.CustomTorsionForce, context: Context) -> Term:
    """An expression of theta in (-pi, pi]."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    return _custom(_TORSION, force, [r[:4] for r in rows], [r[4] for r in rows], context)


def _custom(
    coordinate: Coordinate,
    force: openmm.Force,
    atoms: Sequence[Sequence[int]],
    values: Sequence[Sequence[float]],
    context: Context,
) -> Term:
    return _listed(coordinate, atoms, force.getEnergyFunction(), _columns(force, values), context)


def _stacked(values: Sequence[Tensor]) -> list[Tensor]:
    """Numbers x1, y1, z1, x2, ... as points (3, M, B)."""
    tensors = torch.broadcast_tensors(*values)
    return [torch.stack(tensors[k : k + 3]) for k in range(0, len(tensors), 3)]


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return geometry.norm(b - a)


def _angle(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return geometry.angle(a - b, c - b)


def _torsion(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return geometry.torsion(b - a, c - b, d - c)


def _point_distance(*values: Tensor) -> Tensor:
    return _distance(*_stacked(values))


def _point_angle(*values: Tensor) -> Tensor:
    return _angle(*_stacked(values))


def _point_torsion(*values: Tensor) -> Tensor:
    return _torsion(*_stacked(values))


_OF_POINTS: dict[str, Function] = {
    "distance": _distance,
    "angle": _angle,
    "dihedral": _torsion,
    "pointdistance": _point_distance,
    "pointangle": _point_angle,
    "pointdihedral": _point_torsion,
}


class Compound(Term):
    """Sum over groups of atoms of an expression of their positions.

    Args:
        atoms: Positions of the first, second, ... atom of each group, M each.
        expression: Of x1, y1, z1, ..., of points p1, ... in distance(), angle(), dihedral(), of the
            parameters and globals; of x, y, z if there is one atom to a group.
        parameters: Each (M,).
        numbers: Global parameters.
        tables: Tabulated functions by name.
        suffixes: What distinguishes the atoms of a group in the expression.
    """

    def __init__(
        self,
        atoms: Sequence[Combinations],
        expression: Expression,
        parameters: Mapping[str, Sequence[float]],
        numbers: Numbers,
        *,
        tables: nn.ModuleDict,
        suffixes: Sequence[str],
    ) -> None:
        super().__init__()
        self.atoms, self.constants = nn.ModuleList(atoms), Constants(parameters)
        self.expression, self.tables = expression, tables
        self.numbers, self.suffixes = dict(numbers), tuple(suffixes)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy of all groups."""
        del r
        values: dict[str, Value] = {**self.numbers, **self.constants.like(x)}
        points = [select(x) for select in self.atoms]
        for suffix, point in zip(self.suffixes, points, strict=True):
            values |= {f"{axis}{suffix}": point[i] for i, axis in enumerate("xyz")}
            values[f"p{suffix}"] = point
        return self.expression(values, like=x).expand_as(points[0][0]).sum(0)


def custom_compound(force: openmm.CustomCompoundBondForce, context: Context) -> Term:
    """An expression of the positions of a few atoms."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    tables = table_functions(force)
    expression = Expression(force.getEnergyFunction(), {**_OF_POINTS, **tables})
    columns = np.array([row[0] for row in rows], dtype=np.int64).T
    return Compound(
        [Combinations(selected(atoms, context.n_atoms)) for atoms in columns], expression,
        _columns(force, [row[1] for row in rows]), context.numbers,
        tables=tables, suffixes=[str(k + 1) for k in range(len(columns))],
    )  # fmt: skip


def custom_external(force: openmm.CustomExternalForce, context: Context) -> Term:
    """An expression of the position of an atom."""
    rows = [force.getParticleParameters(k) for k in range(force.getNumParticles())]
    expression = Expression(force.getEnergyFunction())
    atoms = Combinations(selected([row[0] for row in rows], context.n_atoms))
    return Compound(
        [atoms], expression, _columns(force, [row[1] for row in rows]), context.numbers,
        tables=nn.ModuleDict(), suffixes=[""],
    )  # fmt: skip


def _columns(force: openmm.Force, values: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Parameters by name from those of each interaction."""
    return {name: [row[k] for row in values] for k, name in enumerate(parameter_names(force))}
