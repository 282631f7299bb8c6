"""Forces on groups of atoms and on single atoms, as expressions of their positions."""

from collections.abc import Mapping, Sequence

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.bonded import columns
from systems.molecules.force_field.expressions import Expression, Function, Value
from systems.molecules.force_field.geometry import Vector
from systems.molecules.force_field.reading import Context, Numbers, table_functions
from systems.molecules.force_field.terms import Constants, Interactions, Term, Vectors


def _stacked(values: Sequence[Tensor]) -> list[Tensor]:
    """Numbers x1, y1, z1, x2, ... as points (3, M, B)."""
    tensors = torch.broadcast_tensors(*values)
    return [torch.stack(tensors[k : k + 3]) for k in range(0, len(tensors), 3)]


def _between(a: Tensor, b: Tensor) -> Vector:
    """Vector from point a to point b."""
    x, y, z = (b - a).unbind()
    return x, y, z


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return geometry.norm(_between(a, b))


def _angle(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return geometry.angle(_between(b, a), _between(b, c))


def _torsion(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return geometry.torsion(_between(a, b), _between(b, c), _between(c, d))


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


class Compound(Interactions):
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
        atoms: Sequence[Vectors],
        expression: Expression,
        parameters: Mapping[str, Sequence[float]],
        numbers: Numbers,
        *,
        tables: nn.ModuleDict,
        suffixes: Sequence[str],
    ) -> None:
        super().__init__(*atoms)
        self.constants = Constants(parameters)
        self.expression, self.tables = expression, tables
        self.numbers, self.suffixes = dict(numbers), tuple(suffixes)

    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each group."""
        like = vectors[0][0]
        values: dict[str, Value] = {**self.numbers, **self.constants.like(like)}
        for suffix, point in zip(self.suffixes, vectors, strict=True):
            values |= {f"{axis}{suffix}": point[i] for i, axis in enumerate("xyz")}
            if suffix:
                values[f"p{suffix}"] = torch.stack(point)
        return self.expression(values, like=like).expand_as(like)


def custom_compound(force: openmm.CustomCompoundBondForce, context: Context) -> list[Term]:
    """An expression of the positions of a few atoms."""
    rows = [force.getBondParameters(k) for k in range(force.getNumBonds())]
    tables = table_functions(force)
    expression = Expression(force.getEnergyFunction(), {**_OF_POINTS, **tables})
    members = np.array([row[0] for row in rows], dtype=np.int64).T
    return [Compound(
        [Vectors(atoms) for atoms in members], expression,
        columns(force, [row[1] for row in rows]), context.numbers,
        tables=tables, suffixes=[str(k + 1) for k in range(len(members))],
    )]  # fmt: skip


def custom_external(force: openmm.CustomExternalForce, context: Context) -> list[Term]:
    """An expression of the position of an atom."""
    rows = [force.getParticleParameters(k) for k in range(force.getNumParticles())]
    expression = Expression(force.getEnergyFunction())
    atoms = Vectors([row[0] for row in rows])
    return [Compound(
        [atoms], expression, columns(force, [row[1] for row in rows]), context.numbers,
        tables=nn.ModuleDict(), suffixes=[""],
    )]  # fmt: skip
