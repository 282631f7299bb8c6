"""Forces on listed bonds, angles, torsions, groups of atoms and single atoms."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Function, Value
from systems.molecules.force_field.reading import Numbers, parameter_names, plain, table_functions
from systems.molecules.force_field.tables import SplineTable
from systems.molecules.force_field.terms import Columns, Indices, Term

Coordinate = Callable[..., Tensor]


class Listed(Term):
    """Sum over interactions of an expression of one distance, angle or torsion.

    The coordinate is computed once for each distinct set of atoms.

    Args:
        coordinate: Its name in the expression and the function of positions and indices.
        atoms: Atoms of each interaction, shape (M, 2 to 4).
        expression: Of the coordinate, the parameters and the globals.
        parameters: Each (M,).
        numbers: Global parameters.
    """

    def __init__(
        self,
        coordinate: tuple[str, Coordinate],
        atoms: Sequence[Sequence[int]],
        expression: Expression,
        parameters: Mapping[str, Sequence[float]],
        numbers: Numbers,
    ) -> None:
        super().__init__()
        distinct, member = np.unique(np.asarray(atoms), axis=0, return_inverse=True)
        self.name, self._coordinate = coordinate
        self.atoms = Indices(distinct)
        self.member = Indices(member.reshape(-1, 1))
        self.expression = expression
        self.columns = Columns(parameters)
        self.numbers = dict(numbers)

    def forward(self, x: Tensor) -> Tensor:
        """Energy of all interactions."""
        (member,) = self.member
        value = self._coordinate(x, *self.atoms).index_select(0, member)
        values = {**self.numbers, **self.columns.like(x), self.name: value}
        return self.expression(values, like=x).expand_as(value).sum(0)


_DISTANCE = ("r", geometry.distance)
_ANGLE = ("theta", geometry.angle)
_TORSION = ("theta", geometry.torsion)


def harmonic_bond(force: openmm.HarmonicBondForce, numbers: Numbers) -> Term:
    """K (r - r0)^2 / 2."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    parameters = {"r0": plain(row[2] for row in rows), "k": plain(row[3] for row in rows)}
    expression = Expression("0.5*k*(r-r0)^2")
    return Listed(_DISTANCE, [row[:2] for row in rows], expression, parameters, numbers)


def harmonic_angle(force: openmm.HarmonicAngleForce, numbers: Numbers) -> Term:
    """K (theta - theta0)^2 / 2."""
    rows = [force.getAngleParameters(k) for k in range(force.getNumAngles())]
    parameters = {"theta0": plain(row[3] for row in rows), "k": plain(row[4] for row in rows)}
    expression = Expression("0.5*k*(theta-theta0)^2")
    return Listed(_ANGLE, [row[:3] for row in rows], expression, parameters, numbers)


def periodic_torsion(force: openmm.PeriodicTorsionForce, numbers: Numbers) -> Term:
    """K (1 + cos(n theta - theta0))."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    parameters = {
        name: plain(row[4 + k] for row in rows) for k, name in enumerate(("n", "theta0", "k"))
    }
    expression = Expression("k*(1+cos(n*theta-theta0))")
    return Listed(_TORSION, [row[:4] for row in rows], expression, parameters, numbers)


def ryckaert_bellemans(force: openmm.RBTorsionForce, numbers: Numbers) -> Term:
    """Sum of c_n cos(theta - pi)^n for n from 0 to 5."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    parameters = {f"c{n}": plain(row[4 + n] for row in rows) for n in range(6)}
    text = "c0+u*(c1+u*(c2+u*(c3+u*(c4+u*c5)))); u=-cos(theta)"
    return Listed(_TORSION, [row[:4] for row in rows], Expression(text), parameters, numbers)


class TorsionMap(Term):
    """CMAP: a periodic bicubic spline of two torsions.

    Args:
        maps: Distinct maps.
        chosen: Which map each interaction uses, (M,).
        first: Atoms of the first torsions, (M, 4).
        second: Atoms of the second.
    """

    def __init__(
        self,
        maps: Sequence[SplineTable],
        chosen: Sequence[int],
        first: Sequence[Sequence[int]],
        second: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.maps = nn.ModuleList(maps)
        self.first, self.second = Indices(first), Indices(second)
        rows = [np.flatnonzero(np.array(chosen) == k)[:, None] for k in range(len(maps))]
        self._users = [Indices(found) for found in rows]
        self.users = nn.ModuleList(self._users)

    def forward(self, x: Tensor) -> Tensor:
        """Energy of all interactions."""
        first, second = (geometry.torsion(x, *atoms) for atoms in (self.first, self.second))
        total = x.new_zeros(x.shape[2])
        for table, rows in zip(self.maps, self._users, strict=True):
            (users,) = rows
            total = total + table(first.index_select(0, users), second.index_select(0, users)).sum(
                0
            )
        return total


def torsion_map(force: openmm.CMAPTorsionForce, numbers: Numbers) -> Term:
    """All CMAP terms of a force."""
    del numbers
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    tables = []
    for k in range(force.getNumMaps()):
        size, energy = force.getMapParameters(k)
        grid = np.array(plain(energy)).reshape(size, size).T  # the first torsion runs fastest
        closed = np.pad(grid, (0, 1), mode="wrap")
        tables.append(SplineTable(closed, [(0.0, 2 * math.pi)] * 2, periodic=True))
    chosen = [row[0] for row in rows]
    return TorsionMap(tables, chosen, [row[1:5] for row in rows], [row[5:9] for row in rows])


def custom_bond(force: openmm.CustomBondForce, numbers: Numbers) -> Term:
    """An expression of r."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    return _custom(_DISTANCE, force, [r[:2] for r in rows], [r[2] for r in rows], numbers)


def custom_angle(force: openmm.CustomAngleForce, numbers: Numbers) -> Term:
    """An expression of theta."""
    rows = [force.getAngleParameters(k) for k in range(force.getNumAngles())]
    return _custom(_ANGLE, force, [r[:3] for r in rows], [r[3] for r in rows], numbers)


def custom_torsion(force: openmm.CustomTorsionForce, numbers: Numbers) -> Term:
    """An expression of theta in (-pi, pi]."""
    rows = [force.getTorsionParameters(k) for k in range(force.getNumTorsions())]
    return _custom(_TORSION, force, [r[:4] for r in rows], [r[4] for r in rows], numbers)


def _custom(
    coordinate: tuple[str, Coordinate],
    force: openmm.Force,
    atoms: Sequence[Sequence[int]],
    values: Sequence[Sequence[float]],
    numbers: Numbers,
) -> Term:
    names = parameter_names(force)
    columns = {name: [row[k] for row in values] for k, name in enumerate(names)}
    return Listed(coordinate, atoms, Expression(force.getEnergyFunction()), columns, numbers)


def _stacked(values: Sequence[Value]) -> list[Tensor]:
    """Nine numbers x1, y1, z1, ... as three points (3, M, B)."""
    tensors = torch.broadcast_tensors(*(torch.as_tensor(v) for v in values))
    return [torch.stack(tensors[k : k + 3]) for k in range(0, len(tensors), 3)]


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return geometry.norm(b - a)


def _angle(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return geometry.angle_between(a - b, c - b)


def _torsion(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return geometry.torsion_between(b - a, c - b, d - c)


def _point_distance(*values: Value) -> Tensor:
    return _distance(*_stacked(values))


def _point_angle(*values: Value) -> Tensor:
    return _angle(*_stacked(values))


def _point_torsion(*values: Value) -> Tensor:
    return _torsion(*_stacked(values))


_OF_POINTS: dict[str, Function] = {
    "distance": _distance,
    "angle": _angle,
    "dihedral": _torsion,
    "pointdistance": _point_distance,
    "pointangle": _point_angle,
    "pointdihedral": _point_torsion,
}
_OF_ONE_POINT: dict[str, Function] = {"periodicdistance": _point_distance}  # there is no box


class Compound(Term):
    """Sum over groups of atoms of an expression of their positions.

    Args:
        atoms: Shape (M, K).
        expression: Of x1, y1, z1, ..., of points p1, ... in distance(), angle(), dihedral(), of the
            parameters and globals; with `is_single`, of x, y, z.
        parameters: Each (M,).
        numbers: Global parameters.
        functions: Tables by name.
        is_single: Whether there is one atom to a group.
    """

    def __init__(
        self,
        atoms: Sequence[Sequence[int]],
        expression: Expression,
        parameters: Mapping[str, Sequence[float]],
        numbers: Numbers,
        *,
        functions: nn.ModuleDict,
        is_single: bool,
    ) -> None:
        super().__init__()
        self.atoms, self.columns = Indices(atoms), Columns(parameters)
        self.expression, self.functions = expression, functions
        self.numbers, self.is_single = dict(numbers), is_single

    def forward(self, x: Tensor) -> Tensor:
        """Energy of all groups."""
        values: dict[str, Value] = {**self.numbers, **self.columns.like(x)}
        for k, index in enumerate(self.atoms):
            point = x.index_select(1, index)
            number = "" if self.is_single else str(k + 1)
            values |= {f"{axis}{number}": point[i] for i, axis in enumerate("xyz")}
            values[f"p{number}"] = point
        energy = self.expression(values, like=x)
        return energy.expand(self.atoms.n_rows, x.shape[2]).sum(0)


def custom_compound(force: openmm.CustomCompoundBondForce, numbers: Numbers) -> Term:
    """An expression of the positions of a few atoms."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    return _compound(force, [r[0] for r in rows], [r[1] for r in rows], numbers, is_single=False)


def custom_external(force: openmm.CustomExternalForce, numbers: Numbers) -> Term:
    """An expression of the position of an atom."""
    rows = [force.getParticleParameters(k) for k in range(force.getNumParticles())]
    return _compound(force, [[r[0]] for r in rows], [r[1] for r in rows], numbers, is_single=True)


def _compound(
    force: openmm.Force,
    atoms: Sequence[Sequence[int]],
    values: Sequence[Sequence[float]],
    numbers: Numbers,
    *,
    is_single: bool,
) -> Term:
    tables = nn.ModuleDict() if is_single else table_functions(force)
    known = _OF_ONE_POINT if is_single else _OF_POINTS
    expression = Expression(force.getEnergyFunction(), {**known, **tables})
    names = parameter_names(force)
    columns = {name: [row[k] for row in values] for k, name in enumerate(names)}
    return Compound(atoms, expression, columns, numbers, functions=tables, is_single=is_single)
