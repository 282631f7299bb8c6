"""Forces in which atoms first get computed values: implicit solvents of the generalised Born kind.

References:
    Onufriev, Bashford and Case, Proteins 55, 383 (2004): OBC1 and OBC2.
    OpenMM User Guide, sections "CustomGBForce" and "GBSAOBCForce".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Function, Value
from systems.molecules.force_field.geometry import Vector
from systems.molecules.force_field.nonbonded import COULOMB, cutoff_distance
from systems.molecules.force_field.reading import (
    Context,
    Numbers,
    check_particles,
    parameter_names,
    plain,
    table_functions,
)
from systems.molecules.force_field.terms import (
    Constants,
    Rows,
    Term,
    Vectors,
    at_ends,
    collected,
    kept,
    members,
    only,
    pair_vectors,
    with_slopes,
    within,
)

_SINGLE = openmm.CustomGBForce.SingleParticle
_PAIR = openmm.CustomGBForce.ParticlePair
_PAIR_NO_EXCLUSIONS = openmm.CustomGBForce.ParticlePairNoExclusions
_AXES = {"x": " x", "y": " y", "z": " z"}
_DISTANCE = " r"
"""Under what positions and distances are known: no expression can call a value so."""


class Stage(NamedTuple):
    """One computed value or energy: its name, expression, and over what it runs."""

    name: str
    text: str
    kind: int


@dataclass(frozen=True)
class Definition:
    """What a force of this kind consists of.

    Args:
        n_atoms: Number of atoms.
        values: Computed values, in order.
        energies: Energy terms; their names do not matter.
        parameters: Of the atoms, each (n_atoms,).
        numbers: Global parameters.
        excluded: Pairs i < j left out of stages of the kind ParticlePair.
        cutoff: nm, or None.
    """

    n_atoms: int
    values: Sequence[Stage]
    energies: Sequence[Stage]
    parameters: Mapping[str, np.ndarray]
    numbers: Numbers
    excluded: frozenset[tuple[int, int]]
    cutoff: float | None


class _Reading(nn.Module):
    """How the rows of a stage read values of atoms or of pairs.

    Args:
        key: Name of the values, of `_AXES` or `_DISTANCE`.
        place: Of which atom or pair each row reads, (M,); None where there is a row for each.
        count: Number of atoms or pairs.
    """

    place: Tensor

    def __init__(self, key: str, place: np.ndarray | None = None, count: int = 0) -> None:
        super().__init__()
        self.key = key
        self.gathered = None if place is None else collected(place, count)
        self.register_buffer("place", None if place is None else torch.from_numpy(place.copy()))

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Read: (M, B)."""
        found = values[self.key]
        return found if self.gathered is None else found[self.place]

    def back(self, rows: Tensor) -> Tensor:
        """Sum for each atom or pair of the rows that read it: (M, B) -> (count, B)."""
        found: Tensor = rows if self.gathered is None else self.gathered(kept(rows))
        return found


class _Rows(nn.Module):
    """A stage: an expression for each atom, or for each of some pairs.

    Args:
        expression: The expression.
        n_rows: Number M of these atoms or pairs.
        owner: Whose values its rows add up to.
        readings: What it reads, by the name in the expression.
        constants: What is known beforehand, each (M,).
        numbers: Global parameters.
        cutoff: Distance beyond which a pair does not count, nm, or None.
    """

    def __init__(  # noqa: PLR0913
        self,
        expression: Expression,
        n_rows: int,
        owner: _Reading,
        readings: Mapping[str, _Reading],
        constants: Mapping[str, np.ndarray],
        numbers: Numbers,
        *,
        cutoff: float | None = None,
    ) -> None:
        super().__init__()
        self.expression, self.n_rows, self.owner = expression, n_rows, owner
        self.numbers, self.constants, self.cutoff = dict(numbers), Constants(constants), cutoff
        self.over_pairs = "r" in readings and readings["r"].key == _DISTANCE
        self.names, self.readings = tuple(readings), nn.ModuleList(readings.values())

    def arguments(self, values: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What it reads, each (M, B)."""
        return tuple(reading(values) for reading in members(self.readings, _Reading))

    def forward(self, like: Tensor, *arguments: Tensor) -> Tensor:
        """Values of the expression, (M, B), from what it reads; `like` is (B,)."""
        own = dict(zip(self.names, arguments, strict=True))
        near = None
        if self.over_pairs:
            near, own["r"] = within(own["r"], self.cutoff)
        values: dict[str, Value] = {**self.numbers, **self.constants.like(like), **own}
        return only(near, self.expression(values, like=like).expand(self.n_rows, len(like)))

    def back(
        self, slopes: dict[str, Tensor], partial: Sequence[Tensor], weight: Tensor | None
    ) -> None:
        """Add to the derivatives in what it reads those that pass through its rows.

        Args:
            slopes: Derivatives so far by what they are in; changed.
            partial: Derivatives of the rows in the arguments.
            weight: Derivative in each row, (M, B); None for one.
        """
        for reading, own in zip(members(self.readings, _Reading), partial, strict=True):
            # An infinite weight of what does not count is no weight.
            rows = own if weight is None else torch.where(own == 0, 0.0, own * weight)
            new = reading.back(rows)
            slopes[reading.key] = slopes[reading.key] + new if reading.key in slopes else new


class ComputedValues(Term):
    """Energy as a function of values of atoms that are themselves sums over pairs.

    Args:
        definition: The stages.
        tables: Tabulated functions by name.
    """

    def __init__(self, definition: Definition, tables: nn.ModuleDict) -> None:
        known = {name: key for name, key in _AXES.items() if name not in definition.parameters}
        values, energies = [], []
        for stage in definition.values:
            values.append(_rows(stage, dict(tables), definition, known, both_ways=True))
            known[stage.name] = stage.name
        for stage in definition.energies:
            energies.append(_rows(stage, dict(tables), definition, known, both_ways=False))
        used = {
            reading.key
            for stage in (*values, *energies)
            for reading in members(stage.readings, _Reading)
        }
        places = [Vectors(np.arange(definition.n_atoms))] if used & set(_AXES.values()) else []
        super().__init__(pair_vectors(_all_pairs(definition.n_atoms)), *places)
        self.tables = tables
        self.values, self.energies = nn.ModuleList(values), nn.ModuleList(energies)

    def energy(self, *vectors: Vector) -> Tensor:
        """Energy of all stages."""
        known, like = self._known(vectors)
        for stage in members(self.values, _Rows):
            known[stage.owner.key] = kept(stage.owner.back(stage(like, *stage.arguments(known))))
        rows = (stage(like, *stage.arguments(known)) for stage in members(self.energies, _Rows))
        return sum((own.sum(0) for own in rows), like)

    def slopes(self, *vectors: Vector) -> tuple[Rows, list[Vector]]:
        """Energies of all stages, and the derivative in the vectors, from the last stage back."""
        known, like = self._known(vectors)
        slopes: dict[str, Tensor] = {}
        partials: list[Rows] = []
        energies: Rows = []
        for stage in members(self.values, _Rows):
            rows, own = with_slopes(partial(stage, like), *stage.arguments(known))
            partials.append([kept(one) for one in own])
            known[stage.owner.key] = kept(stage.owner.back(rows))
        for stage in members(self.energies, _Rows):
            rows, own = with_slopes(partial(stage, like), *stage.arguments(known))
            energies.append(rows)
            stage.back(slopes, own, None)
        for stage, steps in reversed([*zip(members(self.values, _Rows), partials, strict=True)]):
            if stage.owner.key in slopes:
                weight = kept(slopes[stage.owner.key])
                stage.back(slopes, steps, stage.owner({stage.owner.key: weight}))
        return energies, self._along(slopes, known, vectors)

    def _known(self, vectors: Sequence[Vector]) -> tuple[dict[str, Tensor], Tensor]:
        """Distances, and positions where they are needed; and a zero for each configuration."""
        like = vectors[0][0].new_zeros(vectors[0][0].shape[1])
        places = dict(zip(_AXES.values(), vectors[1], strict=True)) if len(vectors) > 1 else {}
        return {_DISTANCE: kept(geometry.norm(vectors[0])), **places}, like

    def _along(
        self, slopes: Mapping[str, Tensor], known: Mapping[str, Tensor], vectors: Sequence[Vector]
    ) -> list[Vector]:
        """Derivatives in the vectors from those in distances and positions."""
        (x, y, z), r = vectors[0], known[_DISTANCE]
        scale = torch.where(r > 0, slopes.get(_DISTANCE, torch.zeros_like(r)) / r, 0.0)
        found: list[Vector] = [(scale * x, scale * y, scale * z)]
        for place in vectors[1:]:
            x, y, z = (
                slopes.get(key, torch.zeros_like(v))
                for key, v in zip(_AXES.values(), place, strict=True)
            )
            found.append((x, y, z))
        return found


def _all_pairs(n_atoms: int) -> np.ndarray:
    """Pairs i < j, (P, 2)."""
    return np.stack(np.triu_indices(n_atoms, 1), axis=1)


def _rows(
    stage: Stage,
    functions: Mapping[str, Function],
    definition: Definition,
    known: Mapping[str, str],
    *,
    both_ways: bool,
) -> _Rows:
    """A stage, with what it reads.

    Args:
        stage: The stage.
        functions: Tabulated functions by name.
        definition: Parameters, excluded pairs, cutoff.
        known: Coordinates and values computed before, by their names in expressions.
        both_ways: Whether a pair counts as (i, j) and as (j, i), or once.
    """
    expression, count = Expression(stage.text, functions), definition.n_atoms
    if stage.kind == _SINGLE:
        single = {n: _Reading(key) for n, key in known.items() if n in expression.variables}
        return _Rows(
            expression, count, _Reading(stage.name), single, definition.parameters,
            definition.numbers,
        )  # fmt: skip
    pairs = _all_pairs(count)
    excluded = definition.excluded if stage.kind == _PAIR else frozenset()
    place = np.array([k for k, pair in enumerate(pairs.tolist()) if tuple(pair) not in excluded])
    place = place.astype(np.int64)
    rows, n_pairs = pairs[place], len(pairs)
    if both_ways:
        place, rows = np.tile(place, 2), np.concatenate([rows, rows[:, ::-1]])
    readings = {
        f"{name}{k + 1}": _Reading(key, rows[:, k], count)
        for name, key in known.items() if key == name for k in (0, 1)
        if f"{name}{k + 1}" in expression.variables
    }  # fmt: skip
    every = len(place) == n_pairs and not both_ways
    readings["r"] = _Reading(_DISTANCE, None if every else place, n_pairs)
    return _Rows(
        expression, len(rows), _Reading(stage.name, rows[:, 0], count), readings,
        at_ends(definition.parameters, rows), definition.numbers, cutoff=definition.cutoff,
    )  # fmt: skip


def custom_generalised_born(force: openmm.CustomGBForce, context: Context) -> list[Term]:
    """Any CustomGBForce, hence HCT, OBC1, OBC2, GBn and GBn2 as OpenMM writes them.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    count = context.n_atoms
    rows = np.array([force.getParticleParameters(k) for k in range(count)], dtype=np.float64)
    rows = rows.reshape(count, -1)
    exclusions = (force.getExclusionParticles(k) for k in range(force.getNumExclusions()))
    definition = Definition(
        n_atoms=context.n_atoms,
        values=[
            Stage(*force.getComputedValueParameters(k)) for k in range(force.getNumComputedValues())
        ],
        energies=[
            Stage("", *force.getEnergyTermParameters(k)) for k in range(force.getNumEnergyTerms())
        ],
        parameters={name: rows[:, k] for k, name in enumerate(parameter_names(force))},
        numbers=context.numbers,
        excluded=frozenset((min(i, j), max(i, j)) for i, j in exclusions),
        cutoff=cutoff_distance(force),
    )
    return [ComputedValues(definition, table_functions(force))]


_INTEGRAL = """
select(step(r+s2-o1), 0.5*(1/L-1/U+0.25*(r-s2*s2/r)*(1/(U*U)-1/(L*L))+0.5*log(L/U)/r+C), 0);
U=r+s2; C=2*(1/o1-1/L)*step(s2-r-o1); L=max(o1, D); D=abs(r-s2)"""
_RADIUS = "1/(1/o-tanh(u-0.8*u^2+4.85*u^3)/radius); u=I*o"
_SELF = "-0.5*k*charge^2/B"
_SURFACE = "surface*12.566370614359172*(radius+0.14)^2*(radius/B)^6"
_PAIRS = "-k*charge1*charge2/sqrt(r^2+B1*B2*exp(-r^2/(4*B1*B2)))"
_SHIFTED = f"{_PAIRS}+k*charge1*charge2*shift"
_OFFSET = 0.009


def obc2(force: openmm.GBSAOBCForce, context: Context) -> list[Term]:
    """GBSAOBCForce: OBC2 with a surface term, written as computed values.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    count = context.n_atoms
    charge, radius, scale = np.array(
        [plain(force.getParticleParameters(k)) for k in range(count)]
    ).T
    cutoff = cutoff_distance(force)
    constants = {
        "k": COULOMB * (1 / force.getSoluteDielectric() - 1 / force.getSolventDielectric()),
        "surface": plain([force.getSurfaceAreaEnergy()])[0],
        "shift": 0.0 if cutoff is None else 1 / cutoff,
    }
    definition = Definition(
        n_atoms=context.n_atoms,
        values=[Stage("I", _INTEGRAL, _PAIR_NO_EXCLUSIONS), Stage("B", _RADIUS, _SINGLE)],
        energies=[
            Stage("", _SELF, _SINGLE), Stage("", _SURFACE, _SINGLE),
            Stage("", _PAIRS if cutoff is None else _SHIFTED, _PAIR_NO_EXCLUSIONS),
        ],
        parameters={
            "charge": charge, "radius": radius, "o": radius - _OFFSET,
            "s": scale * (radius - _OFFSET),
        },
        numbers={**context.numbers, **constants},
        excluded=frozenset(),
        cutoff=cutoff,
    )  # fmt: skip
    return [ComputedValues(definition, nn.ModuleDict())]
