"""Forces in which atoms first get computed values: implicit solvents of the generalised Born kind.

References:
    Onufriev, Bashford and Case, Proteins 55, 383 (2004): OBC1 and OBC2.
    OpenMM User Guide, sections "CustomGBForce" and "GBSAOBCForce".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Function, Value
from systems.molecules.force_field.nonbonded import COULOMB, Cutoff, both, cutoff_distance
from systems.molecules.force_field.reading import Numbers, parameter_names, plain, table_functions
from systems.molecules.force_field.terms import Columns, Indices, Term, all_pairs

_SINGLE = openmm.CustomGBForce.SingleParticle
_PAIR = openmm.CustomGBForce.ParticlePair


class Stage(NamedTuple):
    """One computed value or energy: its name, expression, and over what it runs."""

    name: str
    text: str
    kind: int


@dataclass(frozen=True)
class Definition:
    """What a force of this kind consists of.

    Args:
        values: Computed values, in order.
        energies: Energy terms; their names do not matter.
        parameters: Of the atoms, each (n_atoms,).
        numbers: Global parameters.
        excluded: Pairs i < j left out of stages of the kind ParticlePair.
        cutoff: nm, or None.
    """

    values: Sequence[Stage]
    energies: Sequence[Stage]
    parameters: Mapping[str, np.ndarray]
    numbers: Numbers
    excluded: frozenset[tuple[int, int]]
    cutoff: float | None


class ComputedValues(Term):
    """Energy as a function of values that are themselves sums over pairs.

    Args:
        definition: The stages.
        functions: Tables by name.
    """

    kept_ordered: Tensor

    def __init__(self, definition: Definition, functions: nn.ModuleDict) -> None:
        super().__init__()
        known: dict[str, Function] = dict(functions)
        self._values = [(s, Expression(s.text, known)) for s in definition.values]
        self._energies = [(s, Expression(s.text, known)) for s in definition.energies]
        self.numbers, self.functions = dict(definition.numbers), functions
        self.columns, self.cutoff = Columns(definition.parameters), Cutoff(definition.cutoff)
        self.n_atoms = n_atoms = len(next(iter(definition.parameters.values())))
        pairs = all_pairs(n_atoms)
        self.pairs = Indices(pairs)
        kept = [tuple(pair) not in definition.excluded for pair in pairs.tolist()]
        self.kept = Indices(np.flatnonzero(kept)[:, None])
        self.kept_pairs = Indices(pairs[np.array(kept, dtype=bool)])
        # Ordered pairs (i, j), all j of the first i, then those of the next.
        number = np.zeros((n_atoms, n_atoms), dtype=np.int64)
        number[pairs[:, 0], pairs[:, 1]] = number[pairs[:, 1], pairs[:, 0]] = np.arange(len(pairs))
        first, second = np.nonzero(~np.eye(n_atoms, dtype=bool))
        self.ordered = Indices(np.stack([first, second], axis=1))
        self.pair_of_ordered = Indices(number[first, second][:, None])
        in_order = np.array(kept, dtype=bool)[number[first, second]]
        self.register_buffer("kept_ordered", torch.from_numpy(in_order)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Energy of all stages."""
        r = geometry.distance(x, *self.pairs)
        of_atoms: dict[str, Value] = {**self.numbers, **self.columns.like(x)}
        of_atoms |= dict(zip("xyz", x, strict=True))
        for stage, expression in self._values:
            if stage.kind == _SINGLE:
                value = expression(of_atoms, like=x)
            else:
                value = self._summed(expression, of_atoms, r, excluding=stage.kind == _PAIR)
            of_atoms[stage.name] = value.expand(self.n_atoms, x.shape[2])
        total = x.new_zeros(x.shape[2])
        for stage, expression in self._energies:
            if stage.kind == _SINGLE:
                energy = expression(of_atoms, like=x).expand(self.n_atoms, x.shape[2])
            else:
                energy = self._of_pairs(expression, of_atoms, r, excluding=stage.kind == _PAIR)
            total = total + energy.sum(0)
        return total

    def _summed(
        self, expression: Expression, of_atoms: Mapping[str, Value], r: Tensor, *, excluding: bool
    ) -> Tensor:
        """Sum over j of an expression of the pair (i, j), for each i: (n_atoms, B)."""
        (number,) = self.pair_of_ordered
        distance = r.index_select(0, number)
        value = self._expression(expression, of_atoms, self.ordered, distance)
        value = self.cutoff.cut(value, distance)
        if excluding and self.kept.n_rows < self.pairs.n_rows:
            value = torch.where(self.kept_ordered, value, 0.0)
        return value.unflatten(0, (self.n_atoms, self.n_atoms - 1)).sum(1)

    def _of_pairs(
        self, expression: Expression, of_atoms: Mapping[str, Value], r: Tensor, *, excluding: bool
    ) -> Tensor:
        """An expression of each unordered pair: (M, B)."""
        pairs = self.pairs
        if excluding and self.kept.n_rows < self.pairs.n_rows:
            (kept,) = self.kept
            pairs, r = self.kept_pairs, r.index_select(0, kept)
        return self.cutoff.cut(self._expression(expression, of_atoms, pairs, r), r)

    def _expression(
        self, expression: Expression, of_atoms: Mapping[str, Value], pairs: Indices, r: Tensor
    ) -> Tensor:
        needed = {name[:-1] for name in expression.variables if name[-1] in "12"}
        chosen = {name: value for name, value in of_atoms.items() if name in needed}
        values: dict[str, Value] = {**self.numbers, "r": r, **both(chosen, pairs, {})}
        return expression(values, like=r).expand_as(r)


def custom_generalised_born(force: openmm.CustomGBForce, numbers: Numbers) -> Term:
    """Any CustomGBForce, hence HCT, OBC1, OBC2, GBn and GBn2 as OpenMM writes them.

    Raises:
        ValueError: The method is a periodic one.
    """
    count = force.getNumParticles()
    rows = np.array([force.getParticleParameters(k) for k in range(count)], dtype=np.float64)
    exclusions = (force.getExclusionParticles(k) for k in range(force.getNumExclusions()))
    definition = Definition(
        values=[
            Stage(*force.getComputedValueParameters(k)) for k in range(force.getNumComputedValues())
        ],
        energies=[
            Stage("", *force.getEnergyTermParameters(k)) for k in range(force.getNumEnergyTerms())
        ],
        parameters={name: rows[:, k] for k, name in enumerate(parameter_names(force))},
        numbers=numbers,
        excluded=frozenset((min(i, j), max(i, j)) for i, j in exclusions),
        cutoff=cutoff_distance(force),
    )
    return ComputedValues(definition, table_functions(force))


_INTEGRAL = """
select(step(r+s2-o1), 0.5*(1/L-1/U+0.25*(r-s2*s2/r)*(1/(U*U)-1/(L*L))+0.5*log(L/U)/r+C), 0);
U=r+s2; C=2*(1/o1-1/L)*step(s2-r-o1); L=max(o1, D); D=abs(r-s2)"""
_RADIUS = "1/(1/o-tanh(u-0.8*u^2+4.85*u^3)/radius); u=I*o"
_SELF = "-0.5*k*charge^2/B"
_SURFACE = "surface*12.566370614359172*(radius+0.14)^2*(radius/B)^6"
_PAIRS = "-k*charge1*charge2*(1/sqrt(r^2+B1*B2*exp(-r^2/(4*B1*B2)))-shift)"
_OFFSET = 0.009


def obc2(force: openmm.GBSAOBCForce, numbers: Numbers) -> Term:
    """GBSAOBCForce: OBC2 with a surface term, written as computed values.

    Raises:
        ValueError: The method is a periodic one.
    """
    count = force.getNumParticles()
    charge, radius, scale = np.array(
        [plain(force.getParticleParameters(k)) for k in range(count)]
    ).T
    cutoff = cutoff_distance(force)
    constants = {
        "k": COULOMB * (1 / force.getSoluteDielectric() - 1 / force.getSolventDielectric()),
        "surface": plain([force.getSurfaceAreaEnergy()])[0],
        "shift": 0.0 if cutoff is None else 1 / cutoff,
    }
    unordered = openmm.CustomGBForce.ParticlePairNoExclusions
    definition = Definition(
        values=[Stage("I", _INTEGRAL, unordered), Stage("B", _RADIUS, _SINGLE)],
        energies=[
            Stage("", _SELF, _SINGLE), Stage("", _SURFACE, _SINGLE), Stage("", _PAIRS, unordered),
        ],
        parameters={
            "charge": charge, "radius": radius, "o": radius - _OFFSET,
            "s": scale * (radius - _OFFSET),
        },
        numbers={**numbers, **constants},
        excluded=frozenset(),
        cutoff=cutoff,
    )  # fmt: skip
    return ComputedValues(definition, nn.ModuleDict())
